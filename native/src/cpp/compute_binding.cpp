// Widening, attention, levels of kernels, and pinning in JavaScript.
#include <napi.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cmath>
#include <string>

#include "affinity.h"
#include "environment.h"
#include "error.h"
#include "floats.h"
#include "kernels.h"
#include "layout_binding.h"
#include "widen.h"

namespace specoffload {

namespace {

constexpr size_t sequenceFields = 5;
constexpr size_t sharedFields = 4;

float* floatsAt(Arena& arena, size_t offset, size_t count) {
  uint8_t* const bytes = bytesOf(arena, offset, count * sizeof(float), "targetOffset");
  if (offset % sizeof(float) != 0) throw RangeError("invalid targetOffset; expected a multiple of 4");
  return reinterpret_cast<float*>(bytes);
}

/** widen(sourceId, sourceOffset, codec, count, targetId, targetOffset) */
void widenFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  guard(env, [&] {
    const std::shared_ptr<Arena> source = openArenaOf(env, info[0]);
    const size_t sourceOffset = wholeNumber(info[1], "sourceOffset", 0, maxWholeNumber);
    const Codec& codec = codecFrom(info[2]);
    const size_t count = wholeNumber(info[3], "count", 0, maxWholeNumber / 4);
    if (count % codec.blockElements != 0) throw RangeError("invalid count; expected whole blocks");
    const std::shared_ptr<Arena> target = openArenaOf(env, info[4]);
    const size_t targetOffset = wholeNumber(info[5], "targetOffset", 0, maxWholeNumber);
    const uint8_t* from = bytesOf(*source, sourceOffset, codec.bytes(count), "sourceOffset");
    codec.decode(from, count, floatsAt(*target, targetOffset, count));
  });
}

Bytes bytesFrom(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw RangeError(std::string("invalid ") + name + "; expected a Uint8Array");
  const auto array = value.As<Napi::Uint8Array>();
  return {array.Data(), array.ByteLength()};
}

/** Values in whole blocks of whichever of the two is shorter. */
size_t packedCount(const Bytes& values, const Bytes& packed) {
  const Codec& codec = *codecNamed("bf16_packed");
  return std::min(values.length / 2 / codec.blockElements, packed.length / codec.blockBytes) * codec.blockElements;
}

/** packBf16(values, packed) -> boolean */
Napi::Value packBf16From(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const Bytes values = bytesFrom(info[0], "values");
    const Bytes packed = bytesFrom(info[1], "packed");
    const size_t count = packedCount(values, packed);
    return Napi::Boolean::New(env, kernels().packBf16(values.data, count, const_cast<uint8_t*>(packed.data)));
  });
}

/** unpackBf16(packed, values) */
void unpackBf16From(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const Bytes packed = bytesFrom(info[0], "packed");
    const Bytes values = bytesFrom(info[1], "values");
    kernels().unpackBf16(packed.data, packedCount(values, packed), const_cast<uint8_t*>(values.data));
  });
}

/** decodeMatrix(sourceId, valuesOffset, codec, layout, targetId, targetOffset) */
void decodeMatrixFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  guard(env, [&] {
    const std::shared_ptr<Arena> source = openArenaOf(env, info[0]);
    const size_t valuesOffset = wholeNumber(info[1], "valuesOffset", 0, maxWholeNumber);
    const Codec& codec = codecFrom(info[2]);
    const Bytes bytes{source->data(), source->byteLength()};
    const PlacedMatrix matrix = placedMatrixOf(codec, info[3].As<Napi::Object>(), bytes, valuesOffset);
    const std::shared_ptr<Arena> target = openArenaOf(env, info[4]);
    const size_t targetOffset = wholeNumber(info[5], "targetOffset", 0, maxWholeNumber);
    const size_t count = matrix.layout.rows * matrix.layout.columns;
    decodeMatrix(codec, matrix.layout, matrix.parts, floatsAt(*target, targetOffset, count));
  });
}

/**
 * attend(numHeads, numKvHeads, headDim, slidingWindow, scale, threads, q, k, v, out, cache, sequences, ropeCos, ropeSin,
 * sinks, shared).
 * The checks here keep memory safe; the ones that explain are in checks.ts.
 */
void attendFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  guard(env, [&] {
    constexpr size_t maxDim = size_t{1} << 20;
    AttentionCall call;
    call.shape.numHeads = wholeNumber(info[0], "numHeads", 1, maxDim);
    call.shape.numKvHeads = wholeNumber(info[1], "numKvHeads", 1, call.shape.numHeads);
    call.shape.headDim = wholeNumber(info[2], "headDim", 2, maxDim);
    call.shape.slidingWindow = wholeNumber(info[3], "slidingWindow", 0, maxWholeNumber);
    call.shape.scale = info[4].ToNumber().FloatValue();
    call.threads = static_cast<int>(wholeNumber(info[5], "threads", 1, maxThreads));
    const Floats q = floatsOf(info[6], "q");
    const Floats k = floatsOf(info[7], "k");
    const Floats v = floatsOf(info[8], "v");
    const Floats out = floatsOf(info[9], "out");
    const Floats cache = floatsOf(info[10], "cache");
    const auto sequences = info[11].As<Napi::Float64Array>();
    const Floats ropeCos = floatsOf(info[12], "ropeCos");
    const Floats ropeSin = floatsOf(info[13], "ropeSin");
    const Floats sinks = info[14].IsNull() ? Floats{nullptr, 0} : floatsOf(info[14], "sinks");
    const bool isShared = !info[15].IsNull();
    const auto shared = isShared ? info[15].As<Napi::Float64Array>() : Napi::Float64Array();
    if (call.shape.numHeads % call.shape.numKvHeads != 0 || call.shape.headDim % 2 != 0) {
      throw RangeError("invalid shape; expected numKvHeads to divide numHeads and headDim to be even");
    }

    size_t numRows = 0;
    size_t numPositions = 0;
    for (size_t i = 0; i + sequenceFields <= sequences.ElementLength(); i += sequenceFields) {
      const auto whole = [](double number, const char* name, size_t most) {
        if (!(number >= 0 && number <= static_cast<double>(most)) || std::floor(number) != number) {
          throw RangeError(std::string("invalid ") + name + ": " + std::to_string(number) +
                           "; expected a whole number from 0 to " + std::to_string(most));
        }
        return static_cast<size_t>(number);
      };
      const auto capacityAt = [&](const Napi::Float64Array& fields, size_t at) {
        return whole(fields[at + 2], "capacity", cache.count / (call.shape.numKvHeads * call.shape.headDim));
      };
      // No more than `tokens` of it are read or written, which is at most the capacity.
      const auto blockAt = [&](const Napi::Float64Array& fields, size_t at, size_t capacity, size_t tokens) {
        const size_t mostOffset = cache.count - ((call.shape.numKvHeads - 1) * capacity + tokens) * call.shape.headDim;
        return AttentionBlock{cache.data + whole(fields[at], "key offset", mostOffset),
                              cache.data + whole(fields[at + 1], "value offset", mostOffset), capacity};
      };
      AttentionSequence sequence;
      sequence.numShared = 0;
      const size_t capacity = capacityAt(sequences, i);
      const size_t at = i / sequenceFields * sharedFields;
      if (isShared) {
        if (at + sharedFields > shared.ElementLength()) throw RangeError("invalid shared; expected four numbers per sequence");
        const size_t othersCapacity = capacityAt(shared, at);
        sequence.numShared = whole(shared[at + 3], "shared tokens", othersCapacity);
        sequence.shared = blockAt(shared, at, othersCapacity, sequence.numShared);
      }
      const size_t most = sequence.numShared + capacity;
      sequence.numPast = whole(sequences[i + 3], "tokens cached", most);
      sequence.numNew = whole(sequences[i + 4], "new tokens", most - sequence.numPast);
      if (sequence.numPast < sequence.numShared) throw RangeError("invalid tokens cached; expected the shared ones among them");
      sequence.own = blockAt(sequences, i, capacity, sequence.numPast - sequence.numShared + sequence.numNew);
      if (!isShared) sequence.shared = sequence.own;
      sequence.firstRow = numRows;
      if (sequence.numNew == 0) continue;
      numRows += sequence.numNew;
      numPositions = std::max(numPositions, sequence.numPast + sequence.numNew);
      call.sequences.push_back(sequence);
    }
    requireAtLeast(q, numRows * call.shape.numHeads * call.shape.headDim, "q");
    requireAtLeast(k, numRows * call.shape.numKvHeads * call.shape.headDim, "k");
    requireAtLeast(v, numRows * call.shape.numKvHeads * call.shape.headDim, "v");
    requireAtLeast(out, numRows * call.shape.numHeads * call.shape.headDim, "out");
    requireAtLeast(ropeCos, numPositions * (call.shape.headDim / 2), "ropeCos");
    requireAtLeast(ropeSin, numPositions * (call.shape.headDim / 2), "ropeSin");
    if (sinks.data != nullptr) requireAtLeast(sinks, call.shape.numHeads, "sinks");
    call.q = q.data;
    call.k = k.data;
    call.v = v.data;
    call.out = out.data;
    call.ropeCos = ropeCos.data;
    call.ropeSin = ropeSin.data;
    call.sinks = sinks.data;
    call.cache = cache.data;
    kernels().attend(call, env.GetInstanceData<Environment>()->workers);
  });
}

/** pinThread(cores: number[]) -> boolean */
Napi::Value pinThreadFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const auto array = info[0].As<Napi::Array>();
    std::vector<int> cores;
    for (uint32_t i = 0; i < array.Length(); ++i) {
      cores.push_back(static_cast<int>(wholeNumber(array.Get(i), "core", 0, 1 << 18)));
    }
    return Napi::Boolean::New(env, pinThread(cores));
  });
}

/** allowedCores() -> number[] */
Napi::Value allowedCoresFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array array = Napi::Array::New(env);
  for (const int core : allowedCores()) array.Set(array.Length(), Napi::Number::New(env, core));
  return array;
}

/** setVariable(name, value): in the environment of the process, from whichever thread. */
void setVariableFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  guard(env, [&] {
    const std::string name = info[0].ToString().Utf8Value();
    const std::string value = info[1].ToString().Utf8Value();
    const char* const current = std::getenv(name.c_str());
    if (current != nullptr && value == current) return;  // writing while another thread reads is not safe: write once
    if (setenv(name.c_str(), value.c_str(), 1) != 0) throw SystemError("cannot set " + name, errno);
  });
}

/** kernelLevels() -> string[], the best last */
Napi::Value kernelLevelsFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  Napi::Array array = Napi::Array::New(env);
  for (const std::string& name : kernelLevels()) array.Set(array.Length(), Napi::String::New(env, name));
  return array;
}

/** kernelLevel() -> string, the one in use */
Napi::Value kernelLevelFrom(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), kernels().level); }

/** useKernels(level) -> boolean */
Napi::Value useKernelsFrom(const Napi::CallbackInfo& info) {
  return Napi::Boolean::New(info.Env(), useKernels(info[0].ToString().Utf8Value()));
}

}  // namespace

void initCompute(Napi::Env env, Napi::Object exports) {
  exports.Set("widen", Napi::Function::New(env, widenFrom, "widen"));
  exports.Set("decodeMatrix", Napi::Function::New(env, decodeMatrixFrom, "decodeMatrix"));
  exports.Set("packBf16", Napi::Function::New(env, packBf16From, "packBf16"));
  exports.Set("unpackBf16", Napi::Function::New(env, unpackBf16From, "unpackBf16"));
  exports.Set("attend", Napi::Function::New(env, attendFrom, "attend"));
  exports.Set("pinThread", Napi::Function::New(env, pinThreadFrom, "pinThread"));
  exports.Set("allowedCores", Napi::Function::New(env, allowedCoresFrom, "allowedCores"));
  exports.Set("setVariable", Napi::Function::New(env, setVariableFrom, "setVariable"));
  exports.Set("kernelLevels", Napi::Function::New(env, kernelLevelsFrom, "kernelLevels"));
  exports.Set("kernelLevel", Napi::Function::New(env, kernelLevelFrom, "kernelLevel"));
  exports.Set("useKernels", Napi::Function::New(env, useKernelsFrom, "useKernels"));
}

}  // namespace specoffload
