// A small drive through the core without JavaScript, for the sanitizers: every owner is made, used and destroyed,
// with threads in each other's way. `smoke FOLDER` writes its scratch file there; exit code 0 means all was right.
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "affinity.h"
#include "arena.h"
#include "error.h"
#include "kernels.h"
#include "pacer.h"
#include "reader.h"
#include "widen.h"

namespace {

using namespace specoffload;

void require(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "smoke: %s\n", what);
  std::exit(1);
}

void driveArenas() {
  for (const size_t byteLength : {size_t{1}, size_t{5000}, size_t{3} << 20}) {
    std::shared_ptr<Arena> arena = createArena(byteLength);
    require(reinterpret_cast<size_t>(arena->data()) % 4096 == 0, "arena not aligned");
    arena->data()[byteLength - 1] = 7;
    const uint64_t id = arena->id();
    std::vector<std::thread> threads;
    std::atomic<int> numFound{0};
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        const std::shared_ptr<Arena> found = findArena(id);
        if (found && found->data()[byteLength - 1] == 7) ++numFound;
      });
    }
    for (std::thread& thread : threads) thread.join();
    require(numFound == 4, "arena not found by its id");
    arena.reset();
    require(!findArena(id), "arena outlives its holders");
  }
}

void driveReader(const std::string& path, bool direct, double cap, bool stopEarly) {
  constexpr size_t fileBytes = 300001;
  std::vector<uint8_t> bytes(fileBytes);
  for (size_t i = 0; i < fileBytes; ++i) bytes[i] = static_cast<uint8_t>(i * 31 + i / 4096);
  std::FILE* out = std::fopen(path.c_str(), "wb");
  require(out != nullptr && std::fwrite(bytes.data(), 1, fileBytes, out) == fileBytes, "cannot write the scratch file");
  std::fclose(out);

  constexpr size_t slotBytes = 303104;
  constexpr int numRequests = 12;
  std::shared_ptr<Arena> arena = createArena(numRequests * slotBytes);
  std::memset(arena->data(), 0xa5, arena->byteLength());
  std::atomic<int> numDone{0};
  std::atomic<int> numFailed{0};
  Reader reader({3, 16384, cap}, [&](std::unique_ptr<Request> request) {
    if (!request->errorMessage.empty() || request->bytesRead != fileBytes) ++numFailed;
    ++numDone;
  });
  auto file = std::make_shared<File>(path, direct);
  for (int i = 0; i < numRequests; ++i) {
    auto request = std::make_unique<Request>();
    request->arena = arena;
    request->ranges.push_back({file, 0, 8192, i * slotBytes});
    request->ranges.push_back({file, 8192, slotBytes - 8192, i * slotBytes + 8192});
    reader.submit(std::move(request));
  }
  if (stopEarly) return;
  while (numDone < numRequests) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  reader.stop();
  require(numFailed == 0, "a read failed");
  for (int i = 0; i < numRequests; ++i) {
    require(std::memcmp(arena->data() + i * slotBytes, bytes.data(), fileBytes) == 0, "read bytes differ");
    require(arena->data()[i * slotBytes + fileBytes] == 0xa5, "bytes past the end were touched");
  }

  require(truncate(path.c_str(), 5000) == 0, "cannot truncate the scratch file");
  Reader second({2, 4096, 0}, [&](std::unique_ptr<Request> request) {
    if (request->errorNumber == EIO) ++numFailed;
    ++numDone;
  });
  auto request = std::make_unique<Request>();
  request->arena = arena;
  request->ranges.push_back({file, 0, slotBytes, 0});
  second.submit(std::move(request));
  while (numDone < numRequests + 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  require(numFailed == 1, "a short read went unnoticed");
}

/** The cases of test/native/pacer.test.ts: the TypeScript twin answers the same. */
void drivePacer() {
  struct Case {
    size_t bytes;
    double askedSeconds, nowSeconds, startSeconds, endSeconds;
  };
  const Case cases[] = {
      {1000, 10, 10, 10, 11},             // at once
      {500, 10, 10, 11, 11.5},            // behind what is under way
      {500, 10, 11.515, 11.5, 12},        // a late thread loses no time
      {500, 20, 20, 20, 20.5},            // an idle link saves nothing up
      {500, 20.1, 21, 20.98, 21.48},      // more than scheduling delays is not forgiven
      {0, 21, 21.1, 21.48, 21.48},        // nothing takes no time
  };
  Pacer pacer(1000);
  require(pacer.paces() && !Pacer(0).paces(), "whether a pacer paces");
  for (const Case& expected : cases) {
    const LinkSlot slot = pacer.reserve(expected.bytes, expected.askedSeconds, expected.nowSeconds);
    require(std::abs(slot.startSeconds - expected.startSeconds) < 1e-9, "a slot starts at the wrong time");
    require(std::abs(slot.endSeconds - expected.endSeconds) < 1e-9, "a slot ends at the wrong time");
  }
}

void driveWiden() {
  for (const size_t count : {size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{33}, size_t{65536}}) {
    std::vector<uint8_t> source(4 * count);
    for (size_t i = 0; i < source.size(); ++i) source[i] = static_cast<uint8_t>(i / 2 >> (i % 2 * 8));
    std::vector<float> target(count);
    for (const char* name : {"bf16", "f16"}) codecNamed(name)->decode(source.data(), count, target.data());
  }
}

void driveAttention(size_t headDim, size_t window) {
  const AttentionShape shape{6, 2, headDim, window, 1.0f / std::sqrt(static_cast<float>(headDim))};
  const size_t past[] = {0, 1, 17, 40};
  const size_t fresh[] = {5, 1, 3, 20};
  size_t cacheFloats = 0;
  size_t numRows = 0;
  for (int s = 0; s < 4; ++s) {
    cacheFloats += 2 * shape.numKvHeads * (past[s] + fresh[s]) * headDim;
    numRows += fresh[s];
  }
  const auto fill = [](size_t count) {
    std::vector<float> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = std::sin(static_cast<float>(i));
    return values;
  };
  const std::vector<float> q = fill(numRows * shape.numHeads * headDim);
  const std::vector<float> k = fill(numRows * shape.numKvHeads * headDim);
  const std::vector<float> v = fill(numRows * shape.numKvHeads * headDim);
  const std::vector<float> sinks = fill(shape.numHeads);
  const std::vector<float> cos = fill(60 * headDim / 2);
  const std::vector<float> sin = fill(60 * headDim / 2);
  Workers workers;
  std::vector<float> expected;
  for (const int threads : {1, 4, 2, 3, 3, 3}) {
    std::vector<float> cache = fill(cacheFloats);
    std::vector<float> out(q.size());
    AttentionCall call{shape, q.data(), k.data(), v.data(), out.data(), cos.data(), sin.data(), cache.data(), sinks.data(), {}, threads};
    size_t offset = 0;
    size_t row = 0;
    for (int s = 0; s < 4; ++s) {
      const size_t block = shape.numKvHeads * (past[s] + fresh[s]) * headDim;
      float* const keys = cache.data() + offset;
      const AttentionBlock own{keys, keys + block, past[s] + fresh[s]};
      call.sequences.push_back({own, own, 0, past[s], fresh[s], row});
      offset += 2 * block;
      row += fresh[s];
    }
    kernels().attend(call, workers);
    if (expected.empty()) expected = out;
    require(std::memcmp(out.data(), expected.data(), out.size() * sizeof(float)) == 0, "threads changed the result");
  }
}

/** Where a level computes an FFN at once; widths and depths that leave rests, and more rows than are in tiles at a time. */
void driveFeedForward(Workers& workers) {
  for (const char* name : {"bf16", "bf16_packed"}) {
    const Codec& codec = *codecNamed(name);
    const size_t rows = 135, depth = codec.blockElements == 1 ? 37 : 64, width = codec.blockElements == 1 ? 75 : 192;
    const std::vector<uint8_t> in(codec.bytes(depth) * width, 0x3c), out(codec.bytes(width) * depth, 0x3c);
    const std::vector<float> x(rows * depth, 0.5f);
    std::vector<float> y(rows * depth), alone(depth);
    const auto feed = [&](size_t count, float* to, int threads) {
      const ProductCall gate{&codec, in.data(), 1, 1, x.data(), nullptr, count, depth, width, nullptr, nullptr, threads};
      const ProductCall down{&codec, out.data(), 1, 1, nullptr, to, count, width, depth, nullptr, nullptr, threads};
      return kernels().feedForward({Gating::silu, 7.0f, 1.7f, gate, gate, down}, workers);
    };
    if (!feed(rows, y.data(), 3)) continue;
    require(feed(1, alone.data(), 1), "one row alone is not fed forward");
    require(std::memcmp(y.data() + (rows - 1) * depth, alone.data(), depth * sizeof(float)) == 0, "rows differ in an FFN");
  }
}

/** Buffers end where values do, so that a vector too many is seen. Every level; widths and depths that leave rests. */
void driveProducts() {
  struct Size {
    size_t rows, depth, width;
  };
  Workers workers;
  for (const std::string& level : kernelLevels()) {
    require(useKernels(level), "a level that is there cannot be used");
    for (size_t i = 0; i < kernels().numCodecs; ++i) {
      const Codec& codec = kernels().codecs[i];
      for (const Size& size : {Size{1, 256, 3}, Size{7, 1280, 9}, Size{70, 1024 + codec.blockElements, 34}}) {
        std::vector<uint8_t> weights(codec.bytes(size.depth) * size.width);
        for (size_t b = 0; b < weights.size(); ++b) weights[b] = static_cast<uint8_t>(0x20 + b * 37 % 0x1f);
        std::vector<float> x(size.rows * size.depth);
        for (size_t v = 0; v < x.size(); ++v) x[v] = std::sin(static_cast<float>(v));
        const std::vector<float> bias(size.width, 1.0f);
        std::vector<float> expected;
        for (const int threads : {1, 3}) {
          std::vector<float> y(size.rows * size.width);
          kernels().multiply({&codec, weights.data(), 1, 1, x.data(), y.data(), size.rows, size.depth, size.width, bias.data(),
                              nullptr, threads},
                             workers);
          if (expected.empty()) expected = y;
          require(std::memcmp(y.data(), expected.data(), y.size() * sizeof(float)) == 0, "threads changed a product");
        }
        std::vector<float> last(size.width);
        kernels().multiply({&codec, weights.data(), 1, 1, x.data() + (size.rows - 1) * size.depth, last.data(), 1, size.depth,
                            size.width, bias.data(), nullptr, 1},
                           workers);
        require(std::memcmp(last.data(), expected.data() + (size.rows - 1) * size.width, size.width * sizeof(float)) == 0,
                "other rows changed a row");
      }
    }
    driveFeedForward(workers);
    std::vector<float> gate(37, 0.5f), up(37, 2.0f), normed(37);
    kernels().activate(Gating::silu, gate.data(), up.data(), gate.size(), 7.0f, 1.7f);
    kernels().normalise(gate.data(), up.data(), nullptr, normed.data(), 1, gate.size(), 1e-5f, 0.0f);
    require(std::abs(normed[36] - 2.0f) < 1e-3f, "a norm is wrong");
  }
}

}  // namespace

int main(int argc, char** argv) {
  require(argc == 2, "expected one argument, a scratch folder");
  const std::string path = std::string(argv[1]) + "/smoke.bin";
  driveArenas();
  drivePacer();
  for (const bool direct : {true, false}) {
    driveReader(path, direct, 0, false);
    driveReader(path, direct, 100e6, false);
    driveReader(path, direct, 1e6, true);
  }
  driveWiden();
  driveProducts();
  for (const size_t headDim : {2, 12, 16, 36, 64, 144}) {
    for (const size_t window : {0, 1, 9}) driveAttention(headDim, window);
  }
  require(!allowedCores().empty(), "no core is allowed");
  require(pinThread({allowedCores().front()}), "cannot pin");
  return 0;
}
