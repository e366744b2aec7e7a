// Of every part of a row the tokens that may be drawn from it: those whose logit over the temperature plus Gumbel noise
// is among the two largest of the part, as far as fp32 can tell. Whoever asked computes theirs again in doubles.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(constant_id = 1) const uint mostFound = 7; // of a part

layout(push_constant) uniform Push {
  uint64_t source; // (row, width) logits
  uint64_t keys;   // (row, 2) words: see `tokenBits` in speculate/noise.ts
  uint64_t target; // (row, part, 2 + 2 * mostFound) words: whether all are finite, how many found, ids and their logits
  uint rows;
  uint width;
  uint parts; // of a row
  float temperature;
} push;

#define lowest uintBitsToFloat(0xff800000u) // no constant can be infinite

shared vec2 leaders[gl_WorkGroupSize.x]; // the largest and the second
shared uint numOdd;
shared uint numFound;

// As `tokenBits` in speculate/noise.ts has them, bit for bit.
uint tokenBits(uvec2 key, uint token) {
  uint state = token * 0x9e3779b1u ^ key.x;
  state = (state ^ state >> 16) * 0x85ebca6bu;
  state = (state ^ state >> 13) * 0xc2b2ae35u;
  state = (state ^ state >> 16) + key.y;
  state = (state ^ state >> 16) * 0x85ebca6bu;
  state = (state ^ state >> 13) * 0xc2b2ae35u;
  return state ^ state >> 16;
}

// -log(-log(1 - u)) of u = (bits + 1/2) / 2^32, within 2^-15.
float gumbel(uint bits) {
  const float u = (float(bits) + 0.5) * 2.3283064365386963e-10;
  const float rest = (float(~bits) + 0.5) * 2.3283064365386963e-10; // 1 - u, where that is small
  const float series = u * (1.0 + u * (0.5 + u * (1.0 / 3.0 + u * (0.25 + u * (0.2 + u / 6.0)))));
  return -log(u < 0.0625 ? series : -log(rest));
}

// Of fp32: rounding of the quotient and the sum, and what logarithms may be off by.
float slack(float score) { return 0.000244140625 + abs(score) * 9.5367431640625e-07; }

float scoreAt(uint row, uint i, uvec2 key) {
  const float logit = ReadFloats(floatsFrom(push.source, uint64_t(push.width) * row + i)).at[0];
  return logit / push.temperature + gumbel(tokenBits(key, i));
}

vec2 merge(vec2 a, vec2 b) { return vec2(max(a.x, b.x), max(min(a.x, b.x), max(a.y, b.y))); }

void main() {
  const uint row = workgroup() / push.parts;
  if (row >= push.rows) return;
  const uint part = workgroup() % push.parts;
  const uint partWidth = (push.width + push.parts - 1) / push.parts;
  const uint begin = min(part * partWidth, push.width);
  const uint end = min(begin + partWidth, push.width);
  ReadWords words = ReadWords(floatsFrom(push.keys, 2 * row));
  const uvec2 key = uvec2(words.at[0], words.at[1]);
  const uint thread = gl_LocalInvocationID.x;
  if (thread == 0) {
    numOdd = 0;
    numFound = 0;
  }
  barrier();
  vec2 own = vec2(lowest);
  for (uint i = begin + thread; i < end; i += gl_WorkGroupSize.x) {
    const uint bits = ReadWords(floatsFrom(push.source, uint64_t(push.width) * row + i)).at[0];
    if ((bits & 0x7f800000u) == 0x7f800000u) {
      atomicAdd(numOdd, 1);
      continue;
    }
    own = merge(own, vec2(scoreAt(row, i, key), lowest));
  }
  leaders[thread] = own;
  barrier();
  // halves of any number: the last of an odd one waits for the next turn
  for (uint count = gl_WorkGroupSize.x; count > 1;) {
    const uint half_ = (count + 1) / 2;
    if (thread + half_ < count) leaders[thread] = merge(leaders[thread], leaders[thread + half_]);
    barrier();
    count = half_;
  }
  const vec2 best = leaders[0];
  const float least = best.y - 2.0 * max(slack(best.x), slack(best.y));
  Words found = Words(floatsFrom(push.target, uint64_t(push.parts * row + part) * (2 + 2 * mostFound)));
  for (uint i = begin + thread; i < end; i += gl_WorkGroupSize.x) {
    if (numOdd > 0 || !(scoreAt(row, i, key) >= least)) continue;
    const uint place = atomicAdd(numFound, 1);
    if (place >= mostFound) continue;
    found.at[2 + 2 * place] = i;
    found.at[3 + 2 * place] = ReadWords(floatsFrom(push.source, uint64_t(push.width) * row + i)).at[0];
  }
  barrier();
  if (thread != 0) return;
  found.at[0] = numOdd == 0 ? 1 : 0;
  found.at[1] = numFound;
}
