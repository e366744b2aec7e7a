// The addon's entry: every environment that loads it gets its own Environment.
#include "environment.h"

static Napi::Object init(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new specoffload::Environment);  // deleted when the environment ends
  specoffload::initArenas(env, exports);
  specoffload::initStreamer(env, exports);
  specoffload::initCompute(env, exports);
  specoffload::initProducts(env, exports);
#ifdef SPECOFFLOAD_VULKAN
  specoffload::initVulkan(env, exports);
#endif
  return exports;
}

NODE_API_MODULE(specoffload, init)
