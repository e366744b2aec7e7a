// Of every row the tokens that masks may keep, with some that they nearly keep, and how much of the probability all others
// have: a workgroup takes a row, and throws its tokens into buckets by how far they are from the largest.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(constant_id = 1) const uint mostKept = 1024; // of a row

layout(push_constant) uniform Push {
  uint64_t source; // (row, width) logits
  uint64_t target; // (row, 4 + 2 * mostKept) words: whether all are finite, how many kept, the first bucket that is
                   // not, the mass from there on; ids and logits in no order
  uint rows;
  uint width;
  float temperature;
  uint least;         // keep so many at least
  float share;        // and so much of the mass at least
  float farthest;     // but, where there is no share, none further from the largest than so much over the temperature
  uint moreBuckets;   // and in any case so many more
} push;

const uint numBuckets = 1024;
const float bucketsPerUnit = 32.0; // of logits over the temperature
const float unitMass = 4096.0;

shared uint counts[numBuckets];
shared uint masses[numBuckets]; // over the least that a token of the bucket has, in units of 1 / `unitMass`; then bits
shared float tops[gl_WorkGroupSize.x];
shared uint numOdd;
shared uint numKept;
shared uint firstOut;

uint bitsAt(uint row, uint i) {
  return ReadWords(floatsFrom(push.source, uint64_t(push.width) * row + i)).at[0];
}

// Behind the largest, over the temperature.
float distanceOf(uint bits, float best) { return (best - uintBitsToFloat(bits)) / push.temperature; }

uint bucketOf(float distance) { return uint(min(distance * bucketsPerUnit, float(numBuckets - 1))); }

float massOf(uint bucket) { return uintBitsToFloat(masses[bucket]); }

// The first bucket that need not be kept.
void findCut() {
  float total = 0.0;
  for (int bucket = int(numBuckets) - 1; bucket >= 0; --bucket) total += massOf(bucket);
  uint bucket = 0;
  uint count = 0;
  float mass = 0.0;
  const float farthest = push.farthest * bucketsPerUnit;
  for (; bucket < numBuckets; ++bucket) {
    if (count >= push.least && mass >= push.share * total) break;
    if (push.share == 0.0 && float(bucket) > farthest) break;
    count += counts[bucket];
    mass += massOf(bucket);
  }
  firstOut = min(bucket + push.moreBuckets, numBuckets);
}

void main() {
  const uint row = workgroup();
  if (row >= push.rows) return;
  const uint thread = gl_LocalInvocationID.x;
  if (thread == 0) numOdd = numKept = 0;
  for (uint bucket = thread; bucket < numBuckets; bucket += gl_WorkGroupSize.x) counts[bucket] = masses[bucket] = 0;
  barrier();
  float top = uintBitsToFloat(0xff7fffffu);
  for (uint i = thread; i < push.width; i += gl_WorkGroupSize.x) {
    const uint bits = bitsAt(row, i);
    if ((bits & 0x7f800000u) == 0x7f800000u) atomicAdd(numOdd, 1);
    else top = max(top, uintBitsToFloat(bits));
  }
  tops[thread] = top;
  barrier();
  for (uint count = gl_WorkGroupSize.x; count > 1;) {
    const uint half_ = (count + 1) / 2;
    if (thread + half_ < count) tops[thread] = max(tops[thread], tops[thread + half_]);
    barrier();
    count = half_;
  }
  const float best = tops[0];
  const bool areFinite = numOdd == 0;
  for (uint i = thread; areFinite && i < push.width; i += gl_WorkGroupSize.x) {
    const float distance = distanceOf(bitsAt(row, i), best);
    const uint bucket = bucketOf(distance);
    atomicAdd(counts[bucket], 1);
    const float mass = exp(float(bucket + 1) / bucketsPerUnit - distance); // the last holds what is further, too
    atomicAdd(masses[bucket], uint(mass * unitMass + 0.5));
  }
  barrier();
  for (uint bucket = thread; bucket < numBuckets; bucket += gl_WorkGroupSize.x)
    masses[bucket] =
        floatBitsToUint(float(masses[bucket]) / unitMass * exp(-float(bucket + 1) / bucketsPerUnit));
  barrier();
  if (thread == 0) findCut();
  barrier();
  Words found = Words(floatsFrom(push.target, uint64_t(row) * (4 + 2 * mostKept)));
  float massOut = 0.0;
  for (uint i = thread; areFinite && i < push.width; i += gl_WorkGroupSize.x) {
    const uint bits = bitsAt(row, i);
    const float distance = distanceOf(bits, best);
    if (bucketOf(distance) >= firstOut) {
      massOut += exp(-distance);
      continue;
    }
    const uint place = atomicAdd(numKept, 1);
    if (place >= mostKept) continue;
    found.at[4 + 2 * place] = i;
    found.at[5 + 2 * place] = bits;
  }
  tops[thread] = massOut;
  barrier();
  if (thread != 0) return;
  massOut = 0.0;
  for (uint i = 0; i < gl_WorkGroupSize.x; ++i) massOut += tops[i];
  found.at[0] = areFinite ? 1 : 0;
  found.at[1] = numKept;
  found.at[2] = firstOut;
  found.at[3] = floatBitsToUint(massOut);
}
