// Arguments that several bindings take: views of floats and codecs.
#pragma once

#include <napi.h>

#include <string>

#include "error.h"
#include "widen.h"

namespace specoffload {

constexpr size_t maxThreads = 1024;

struct Floats {
  float* data;
  size_t count;
};

inline Floats floatsOf(const Napi::Value& value, const char* name) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array) {
    throw RangeError(std::string("invalid ") + name + "; expected a Float32Array");
  }
  auto array = value.As<Napi::Float32Array>();
  return {array.Data(), array.ElementLength()};
}

inline void requireAtLeast(const Floats& floats, size_t count, const char* name) {
  if (floats.count < count) {
    throw RangeError(std::string("invalid ") + name + ": " + std::to_string(floats.count) +
                     " elements; expected at least " + std::to_string(count));
  }
}

/** Of a view that may be missing: null for none. */
inline float* maybeFloats(const Napi::Value& value, size_t count, const char* name) {
  if (value.IsNull()) return nullptr;
  const Floats floats = floatsOf(value, name);
  requireAtLeast(floats, count, name);
  return floats.data;
}

/** A codec of `native/src/codecs/` that is written in TypeScript alone is refused: its bytes would be taken for others. */
inline const Codec& codecFrom(const Napi::Value& name) {
  const Codec* const codec = codecNamed(name.ToString().Utf8Value());
  if (codec != nullptr) return *codec;
  throw RangeError("the native core cannot decode " + name.ToString().Utf8Value() + "; run with the TypeScript twin");
}

}  // namespace specoffload
