// 1 where the first value of every row is finite, else 0: one workgroup.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint64_t source; // (row, width)
  uint64_t target; // one word
  uint rows;
  uint width;
} push;

shared uint numOdd;

void main() {
  if (gl_LocalInvocationID.x == 0) numOdd = 0;
  barrier();
  for (uint row = gl_LocalInvocationID.x; row < push.rows; row += gl_WorkGroupSize.x) {
    const uint bits = ReadWords(floatsFrom(push.source, uint64_t(push.width) * row)).at[0];
    if ((bits & 0x7f800000u) == 0x7f800000u) atomicAdd(numOdd, 1);
  }
  barrier();
  if (gl_LocalInvocationID.x == 0) Words(push.target).at[0] = numOdd == 0 ? 1 : 0;
}
