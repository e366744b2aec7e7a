// Matrix products, norms and activations in JavaScript. The checks here keep memory safe; those that explain are in checks.ts.
#include <algorithm>
#include <cstring>
#include <string>

#include "environment.h"
#include "floats.h"
#include "kernels.h"
#include "layout_binding.h"

namespace specoffload {

namespace {

constexpr size_t most = size_t{1} << 32;

/** Kernels trust the groups of columns. */
void requireGroups(const PlacedMatrix& matrix) {
  for (size_t c = 0; matrix.parts.groupOfColumn != nullptr && c < matrix.layout.columns; ++c) {
    uint32_t group;
    std::memcpy(&group, matrix.parts.groupOfColumn + 4 * c, sizeof group);
    if (group >= matrix.layout.groups())
      throw RangeError("invalid group of column " + std::to_string(c) + ": " + std::to_string(group) +
                       "; expected one of " + std::to_string(matrix.layout.groups()));
  }
}

/** From four arguments on: codec, weights, paired, step. The width is known. @returns bytes of the weights */
size_t readWeights(const Napi::CallbackInfo& info, size_t first, ProductCall& call) {
  call.codec = &codecFrom(info[first]);
  if (!info[first + 1].IsTypedArray() || info[first + 1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
    throw RangeError("invalid weights; expected a Uint8Array");
  const auto weights = info[first + 1].As<Napi::Uint8Array>();
  call.weights = weights.Data();
  call.paired = wholeNumber(info[first + 2], "paired", 1, 1 << 20);
  call.step = wholeNumber(info[first + 3], "step", 1, 1 << 20);
  if (call.paired > 1 && (call.paired % 2 != 0 || call.width % call.paired != 0))
    throw RangeError("invalid paired; expected an even divisor of width");
  return weights.ByteLength();
}

/** Of weights whose rows lie one behind the other, without scales of their own. */
void requireRows(const ProductCall& call, size_t weightBytes) {
  if (call.depth % call.codec->blockElements != 0) throw RangeError("invalid depth; expected whole blocks");
  if (weightBytes / call.codec->bytes(call.depth) < (call.width - 1) * call.step + 1)
    throw RangeError("invalid weights; too short");
}

/** multiply(codec, weights, paired, step, x, y, rows, depth, width, bias, addend, threads, layout) */
void multiplyFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  guard(env, [&] {
    ProductCall call;
    call.rows = wholeNumber(info[6], "rows", 0, most);
    call.depth = wholeNumber(info[7], "depth", 1, 1 << 30);
    call.width = wholeNumber(info[8], "width", 1, 1 << 30);
    call.threads = static_cast<int>(wholeNumber(info[11], "threads", 1, maxThreads));
    const size_t weightBytes = readWeights(info, 0, call);
    PlacedMatrix matrix;
    if (info[12].IsObject()) {
      matrix = placedMatrixOf(*call.codec, info[12].As<Napi::Object>(), {call.weights, weightBytes}, 0);
      const MatrixLayout& layout = matrix.layout;
      if (layout.rows != call.width || layout.columns != call.depth || layout.paired != call.paired || layout.step != call.step)
        throw RangeError("invalid layout; expected the product's own");
      if (layout.across > 0 && call.codec->decodeRows == nullptr) throw RangeError("invalid across; expected words of neighbours");
      requireGroups(matrix);
      call.layout = &layout;
      call.parts = matrix.parts;
    } else {
      requireRows(call, weightBytes);
    }
    const Floats x = floatsOf(info[4], "x");
    const Floats y = floatsOf(info[5], "y");
    // Both sides are below 2^62: neither product wraps.
    if (static_cast<double>(call.rows) * static_cast<double>(std::max(call.depth, call.width)) > 1e15)
      throw RangeError("invalid rows");
    requireAtLeast(x, call.rows * call.depth, "x");
    requireAtLeast(y, call.rows * call.width, "y");
    call.x = x.data;
    call.y = y.data;
    call.bias = maybeFloats(info[9], call.width, "bias");
    call.addend = maybeFloats(info[10], call.rows * call.width, "addend");
    kernels().multiply(call, env.GetInstanceData<Environment>()->workers);
  });
}

/** normalise(x, weight, addend, y, rows, width, eps, offset) */
void normaliseFrom(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const size_t rows = wholeNumber(info[4], "rows", 0, 1 << 30);
    const size_t width = wholeNumber(info[5], "width", 1, 1 << 30);
    const Floats x = floatsOf(info[0], "x");
    const Floats weight = floatsOf(info[1], "weight");
    const Floats y = floatsOf(info[3], "y");
    requireAtLeast(x, rows * width, "x");
    requireAtLeast(weight, width, "weight");
    requireAtLeast(y, rows * width, "y");
    const float* const addend = maybeFloats(info[2], rows * width, "addend");
    const float eps = info[6].ToNumber().FloatValue();
    const float offset = info[7].ToNumber().FloatValue();
    kernels().normalise(x.data, weight.data, addend, y.data, rows, width, eps, offset);
  });
}

Gating gatingFrom(const Napi::Value& value) {
  const std::string name = value.ToString().Utf8Value();
  if (name == "silu") return Gating::silu;
  if (name == "gelu-tanh") return Gating::geluTanh;
  if (name == "clamped-swiglu") return Gating::clampedSwiglu;
  throw RangeError("invalid activation: " + name);
}

/** activate(activation, gate, up, count, limit, alpha) */
void activateFrom(const Napi::CallbackInfo& info) {
  guard(info.Env(), [&] {
    const Gating gating = gatingFrom(info[0]);
    const Floats gate = floatsOf(info[1], "gate");
    const Floats up = floatsOf(info[2], "up");
    const size_t count = wholeNumber(info[3], "count", 0, size_t{1} << 50);
    requireAtLeast(gate, count, "gate");
    requireAtLeast(up, count, "up");
    kernels().activate(gating, gate.data, up.data, count, info[4].ToNumber().FloatValue(), info[5].ToNumber().FloatValue());
  });
}

/** feedForward(activation, limit, alpha, x, y, rows, depth, width, threads, then those of gate, up and down) -> boolean */
Napi::Value feedForwardFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    constexpr size_t weightsAt = 9, each = 4;
    FeedForwardCall call{};
    call.gating = gatingFrom(info[0]);
    call.limit = info[1].ToNumber().FloatValue();
    call.alpha = info[2].ToNumber().FloatValue();
    const Floats x = floatsOf(info[3], "x");
    const Floats y = floatsOf(info[4], "y");
    const size_t rows = wholeNumber(info[5], "rows", 0, size_t{1} << 30);
    const size_t depth = wholeNumber(info[6], "depth", 1, 1 << 30);
    const size_t width = wholeNumber(info[7], "width", 1, 1 << 30);
    requireAtLeast(x, rows * depth, "x");
    requireAtLeast(y, rows * depth, "y");
    ProductCall* const products[] = {&call.gate, &call.up, &call.down};
    for (size_t i = 0; i < 3; ++i) {
      ProductCall& product = *products[i];
      product.rows = rows;
      product.depth = i == 2 ? width : depth;
      product.width = i == 2 ? depth : width;
      product.threads = static_cast<int>(wholeNumber(info[8], "threads", 1, maxThreads));
      requireRows(product, readWeights(info, weightsAt + each * i, product));
    }
    call.gate.x = call.up.x = x.data;
    call.down.y = y.data;
    return Napi::Boolean::New(env, kernels().feedForward(call, env.GetInstanceData<Environment>()->workers));
  });
}

}  // namespace

void initProducts(Napi::Env env, Napi::Object exports) {
  exports.Set("multiply", Napi::Function::New(env, multiplyFrom, "multiply"));
  exports.Set("normalise", Napi::Function::New(env, normaliseFrom, "normalise"));
  exports.Set("activate", Napi::Function::New(env, activateFrom, "activate"));
  exports.Set("feedForward", Napi::Function::New(env, feedForwardFrom, "feedForward"));
}

}  // namespace specoffload
