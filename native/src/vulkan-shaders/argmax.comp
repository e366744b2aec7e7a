// The largest value of every row, the lowest id among equals, and its lead over the second: NaN where a value of the
// row is not finite. A workgroup takes one of `parts` parts of a row and writes a candidate; where there are several
// parts, a second pass takes the candidates as its row.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(constant_id = 1) const bool takesCandidates = false;

layout(push_constant) uniform Push {
  uint64_t source; // (row, width) values, or (row, width) candidates
  uint64_t target; // (row, part) candidates, or (row) results
  uint rows;
  uint width;
  uint parts; // of a row; 1 writes results
} push;

// What is known of some of a row. 16 bytes: best, second, id, and how many values are not finite.
struct Candidate {
  float best;
  float second;
  uint id;
  uint numOdd;
};

layout(buffer_reference, std430, buffer_reference_align = 4) buffer Candidates { Candidate at[]; };

shared Candidate candidates[gl_WorkGroupSize.x];

#define lowest uintBitsToFloat(0xff800000u) // no constant can be infinite

// Of equals the lower id is the best, and the other the second.
Candidate merge(Candidate a, Candidate b) {
  const bool isFirst = a.best > b.best || (a.best == b.best && a.id < b.id);
  Candidate c = a;
  if (!isFirst) {
    c.best = b.best;
    c.id = b.id;
  }
  c.second = max(isFirst ? b.best : a.best, max(a.second, b.second));
  c.numOdd = a.numOdd + b.numOdd;
  return c;
}

Candidate candidateAt(uint row, uint i) {
  const uint64_t at = uint64_t(push.width) * row + i;
  if (takesCandidates) return Candidates(push.source + 16ul * at).at[0];
  const float value = ReadFloats(floatsFrom(push.source, at)).at[0];
  // by its bits, since drivers may take comparisons to know no NaN
  const uint bits = floatBitsToUint(value) & 0x7fffffffu;
  return Candidate(bits > 0x7f800000u ? lowest : value, lowest, i, bits >= 0x7f800000u ? 1 : 0);
}

void main() {
  const uint row = workgroup() / push.parts;
  if (row >= push.rows) return;
  const uint part = workgroup() % push.parts;
  const uint partWidth = (push.width + push.parts - 1) / push.parts;
  const uint begin = part * partWidth;
  const uint end = min(begin + partWidth, push.width);
  Candidate found = Candidate(lowest, lowest, 0xffffffffu, 0);
  for (uint i = begin + gl_LocalInvocationID.x; i < end; i += gl_WorkGroupSize.x)
    found = merge(found, candidateAt(row, i));
  candidates[gl_LocalInvocationID.x] = found;
  barrier();
  // halves of any number: the last of an odd one waits for the next turn
  for (uint count = gl_WorkGroupSize.x; count > 1;) {
    const uint half_ = (count + 1) / 2;
    if (gl_LocalInvocationID.x + half_ < count)
      candidates[gl_LocalInvocationID.x] =
          merge(candidates[gl_LocalInvocationID.x], candidates[gl_LocalInvocationID.x + half_]);
    barrier();
    count = half_;
  }
  if (gl_LocalInvocationID.x != 0) return;
  const Candidate winner = candidates[0];
  if (push.parts > 1) {
    Candidates(push.target + 16ul * (uint64_t(push.parts) * row + part)).at[0] = winner;
    return;
  }
  Words(push.target + 8ul * row).at[0] = winner.id;
  Words(push.target + 8ul * row).at[1] =
      winner.numOdd > 0 ? 0x7fc00000u : floatBitsToUint(winner.best - winner.second);
}
