# The lab as a command. `docker build -t specoffload .` in a clone, then
# `docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" specoffload start`: results and the big model go to the folder that is mounted.

FROM node:24-bookworm-slim AS build
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates g++ git libvulkan-dev \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /lab
COPY . .
RUN npm run pack -- /packed

FROM node:24-bookworm-slim
COPY --from=build /packed/ /packed/
RUN npm install --global --no-audit --no-fund /packed/specoffload-lab-*.tgz \
  && rm -r /packed \
  && specoffload --version
USER node
WORKDIR /work
ENTRYPOINT ["specoffload"]
CMD ["--help"]
