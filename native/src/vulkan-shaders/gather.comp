// target[i] = source[indices[i]], rows of `width` values.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint64_t source;  // (any, width)
  uint64_t indices; // (row), words
  uint64_t target;  // (row, width)
  uint rows;
  uint width;
} push;

void main() {
  const uint row = item() / push.width;
  const uint i = item() % push.width;
  if (row >= push.rows) return;
  const uint index = ReadWords(floatsFrom(push.indices, row)).at[0];
  Floats(floatsFrom(push.target, uint64_t(push.width) * row + i)).at[0] =
      Floats(floatsFrom(push.source, uint64_t(push.width) * index + i)).at[0];
}
