// Of every row's router scores the k largest, the lower number first among equals, and their softmax over those k or
// over all. A workgroup takes a row: an expert's place is how many come before it.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(constant_id = 1) const uint numPlaces = 2; // the chosen, and the first that is not

layout(push_constant) uniform Push {
  uint64_t scores; // (row, expert)
  uint64_t chosen; // (row, 2, k): numbers of experts, words, and what their outputs are multiplied with
  uint64_t target; // (row, k + 1) words: numbers of experts, and the bits of the last one's lead
  uint rows;
  uint numExperts;
  uint overAll;
} push;

shared uint places[numPlaces];
shared float sums[gl_WorkGroupSize.x];
shared uint numOdd;

void main() {
  const uint row = workgroup();
  if (row >= push.rows) return;
  const uint thread = gl_LocalInvocationID.x;
  ReadFloats scores = ReadFloats(floatsFrom(push.scores, uint64_t(push.numExperts) * row));
  for (uint place = thread; place < numPlaces; place += gl_WorkGroupSize.x) places[place] = 0;
  if (thread == 0) numOdd = 0;
  barrier();
  for (uint expert = thread; expert < push.numExperts; expert += gl_WorkGroupSize.x) {
    const float score = scores.at[expert];
    if ((floatBitsToUint(score) & 0x7f800000u) == 0x7f800000u) atomicAdd(numOdd, 1);
    uint place = 0;
    for (uint other = 0; other < push.numExperts; ++other) {
      const float theirs = scores.at[other];
      if (theirs > score || (theirs == score && other < expert)) ++place;
    }
    if (place < numPlaces) places[place] = expert;
  }
  barrier();
  const uint k = min(numPlaces - 1, push.numExperts);
  const float best = scores.at[places[0]];
  float own = 0.0;
  const uint numSummed = push.overAll == 1 ? push.numExperts : k;
  for (uint i = thread; i < numSummed; i += gl_WorkGroupSize.x)
    own += exp(scores.at[push.overAll == 1 ? i : places[i]] - best);
  sums[thread] = own;
  barrier();
  float sum = 0.0;
  for (uint i = 0; i < gl_WorkGroupSize.x; ++i) sum += sums[i];
  Words chosen = Words(floatsFrom(push.chosen, uint64_t(2 * k) * row));
  Words target = Words(floatsFrom(push.target, uint64_t(k + 1) * row));
  for (uint place = thread; place < k; place += gl_WorkGroupSize.x) {
    const uint expert = places[place];
    chosen.at[place] = expert;
    chosen.at[k + place] = floatBitsToUint(exp(scores.at[expert] - best) / sum);
    target.at[place] = expert;
  }
  if (thread != 0) return;
  const float lead = k < push.numExperts ? scores.at[places[k - 1]] - scores.at[places[k]] : 0.0;
  target.at[k] = numOdd > 0 ? 0x7fc00000u : k < push.numExperts ? floatBitsToUint(lead) : 0x7f800000u;
}
