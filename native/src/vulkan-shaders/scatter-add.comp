// target[indices[i]] += scales[i] * source[i], rows of `width` values. A thread takes one column of `rowsEach` rows in
// their order: all rows where an index occurs twice, so that nobody adds to the same value at once.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint64_t source;  // (row, width)
  uint64_t indices; // (row), words
  uint64_t scales;  // (row)
  uint64_t target;  // (any, width)
  uint rows;
  uint width;
  uint rowsEach;
} push;

void main() {
  const uint i = item() % push.width;
  const uint firstRow = item() / push.width * push.rowsEach;
  const uint end = min(firstRow + push.rowsEach, push.rows);
  for (uint row = firstRow; row < end; ++row) {
    const uint index = ReadWords(floatsFrom(push.indices, row)).at[0];
    const float scale = ReadFloats(floatsFrom(push.scales, row)).at[0];
    const float value = ReadFloats(floatsFrom(push.source, uint64_t(push.width) * row + i)).at[0];
    Floats target = Floats(floatsFrom(push.target, uint64_t(push.width) * index + i));
    target.at[0] = fma(scale, value, target.at[0]);
  }
}
