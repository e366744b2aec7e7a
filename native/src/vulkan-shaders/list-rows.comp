// By expert the rows that chose it, ascending, and what its output is multiplied with, one expert's behind the other's.
// A workgroup takes an expert; its threads look through stretches of all choices.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint64_t chosen;  // (row, 2, k), as `choose-experts` writes it
  uint64_t indices; // (row * k), words
  uint64_t scales;  // (row * k)
  uint rows;
  uint numExperts;
  uint k;
} push;

shared uint lower[gl_WorkGroupSize.x]; // choices of experts with lower numbers
shared uint equal[gl_WorkGroupSize.x];

void main() {
  const uint expert = workgroup();
  if (expert >= push.numExperts) return;
  const uint thread = gl_LocalInvocationID.x;
  const uint perThread = (push.rows + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;
  const uint begin = min(thread * perThread, push.rows);
  const uint end = min(begin + perThread, push.rows);
  uint numLower = 0;
  uint numEqual = 0;
  for (uint row = begin; row < end; ++row) {
    ReadWords chosen = ReadWords(floatsFrom(push.chosen, uint64_t(2 * push.k) * row));
    for (uint place = 0; place < push.k; ++place) {
      if (chosen.at[place] < expert) ++numLower;
      if (chosen.at[place] == expert) ++numEqual;
    }
  }
  lower[thread] = numLower;
  equal[thread] = numEqual;
  barrier();
  uint at = 0;
  for (uint i = 0; i < gl_WorkGroupSize.x; ++i) at += lower[i] + (i < thread ? equal[i] : 0);
  for (uint row = begin; row < end; ++row) {
    ReadWords chosen = ReadWords(floatsFrom(push.chosen, uint64_t(2 * push.k) * row));
    for (uint place = 0; place < push.k; ++place) {
      if (chosen.at[place] != expert) continue;
      Words(floatsFrom(push.indices, at)).at[0] = row;
      Words(floatsFrom(push.scales, at)).at[0] = chosen.at[push.k + place];
      ++at;
    }
  }
}
