// target[row] = scale * table[ids[row]], decoded; the table may lie in host memory that the device sees.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "weights.glsl"

layout(constant_id = 1) const uint weightFormat = 1;

layout(push_constant) uniform Push {
  uint64_t table;  // (vocab, width)
  uint64_t ids;    // (row), words
  uint64_t target; // (row, width)
  uint tableRowBytes;
  uint rows;
  uint width;
  float scale;
} push;

void main() {
  const uint row = item() / push.width;
  const uint i = item() % push.width;
  if (row >= push.rows) return;
  const uint id = ReadWords(floatsFrom(push.ids, row)).at[0];
  const float value = valueAt(weightFormat, push.table + uint64_t(push.tableRowBytes) * id, i);
  Floats(floatsFrom(push.target, uint64_t(push.width) * row + i)).at[0] = push.scale * value;
}
