// Causal attention over the KV cache, which holds the new keys already. A workgroup takes a run of a sequence's rows
// through one key/value head: up to `numQueries` queries (token, head of the group) share every key and value that is
// read. Keys go through shared memory in blocks, the softmax is corrected from block to block. Long contexts are read in
// parts, by a workgroup each, which `combine-parts` puts together.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "weights.glsl"

layout(constant_id = 1) const uint headDim = 128;
layout(constant_id = 2) const uint numQueries = 8;
layout(constant_id = 3) const uint blockKeys = 8;
layout(constant_id = 4) const uint vectorFormat = 1;

layout(push_constant) uniform Push {
  uint64_t q;      // (row, head, headDim), not rotated
  uint64_t out_;   // (row, head, headDim)
  uint64_t cache;  // of the layer
  uint64_t cos;    // (position, headDim / 2)
  uint64_t sin;    // (position, headDim / 2)
  uint64_t places; // (row, 4): element of the sequence's keys and values in the cache, its capacity, position
  uint64_t runs;   // (run, 4): first row, rows, of one sequence each, first part of their keys, number of parts
  uint64_t sinks;  // (head), 0 for none
  uint64_t shared_; // (row, 4): element of the keys and values that the sequence shares, their block's capacity, how many; 0 for none
  uint64_t partials; // (row from firstRow on, head, part, headDim + 2): sums, what they are to be divided by, the largest score
  uint numHeads;
  uint numKvHeads;
  uint window; // keys a query sees, itself included; 0 for all
  float scale;
  uint partKeys; // keys of a part
  uint mostParts;
  uint firstRow;
} push;

const uint quads = (headDim + 3) / 4;
const uint keyStride = quads + 1; // keys of neighbouring threads begin in different banks
shared vec4 queries[numQueries * quads]; // rotated and scaled, padded with zeros
shared vec4 keys[blockKeys * keyStride];
shared float scores[numQueries * blockKeys];
shared float shares[numQueries * blockKeys]; // e^(score - largest so far)
shared float largest[2 * numQueries];        // so far, of this block and of the one before
shared float corrections[numQueries];        // of what has been added up before this block

// A thread adds up channels `channel`, `channel + threads`, ... of every `numTeams`-th query.
const uint numTeams = gl_WorkGroupSize.x >= headDim ? gl_WorkGroupSize.x / headDim : 1;
const uint queriesEach = (numQueries + numTeams - 1) / numTeams;
const uint channelsEach = (headDim + gl_WorkGroupSize.x - 1) / gl_WorkGroupSize.x;

const float nothing = -3.402823e38;

uint firstKeyOf(uint position) {
  return push.window == 0 || position + 1 <= push.window ? 0 : position + 1 - push.window;
}

/** Of a position's key or value in a head, which lies among the shared ones or behind them in the sequence's own block. */
uint64_t elementOf(uint64_t sharedAt, uint64_t ownAt, uint numShared, uint position, uint d) {
  return position < numShared ? floatsFrom(sharedAt, uint64_t(position) * headDim + d)
                              : floatsFrom(ownAt, uint64_t(position - numShared) * headDim + d);
}

void main() {
  const uint thread = gl_LocalInvocationID.x;
  const uvec4 run = ReadUvec4s(push.runs).at[gl_WorkGroupID.x];
  const uint firstRow = run.x;
  const uint numRows = run.y;
  const bool isWhole = run.w == 1;
  const uint part = gl_WorkGroupID.z % push.mostParts;
  if (part >= run.w) return;
  const uint kvHead = gl_WorkGroupID.y;
  const uint group = push.numHeads / push.numKvHeads;
  const uint firstQuery = gl_WorkGroupID.z / push.mostParts * numQueries; // of the run's, in the order (token, head of the group)
  if (firstQuery >= numRows * group) return;
  const uint count = min(numQueries, numRows * group - firstQuery);
  const uvec4 place = ReadUvec4s(push.places).at[firstRow];
  uvec4 others = uvec4(place.xyz, 0);
  if (push.shared_ != 0ul) others = ReadUvec4s(push.shared_).at[firstRow];
  const uint numShared = others.w;
  const uint64_t headOffset = uint64_t(kvHead) * place.z * headDim;
  const uint64_t keysAt = floatsFrom(push.cache, place.x + headOffset);
  const uint64_t valuesAt = floatsFrom(push.cache, place.y + headOffset);
  const uint64_t othersOffset = uint64_t(kvHead) * others.z * headDim;
  const uint64_t sharedKeysAt = floatsFrom(push.cache, others.x + othersOffset);
  const uint64_t sharedValuesAt = floatsFrom(push.cache, others.y + othersOffset);
  uint begin = firstKeyOf(place.w + firstQuery / group);
  uint end = place.w + (firstQuery + count - 1) / group + 1;
  if (!isWhole) {
    begin = max(begin, (run.z + part) * push.partKeys);
    end = min(end, (run.z + part + 1) * push.partKeys);
  }
  const bool hasSink = push.sinks != 0ul && part == 0;

  const uint halfDim = headDim / 2;
  for (uint i = thread; i < numQueries * quads; i += gl_WorkGroupSize.x) queries[i] = vec4(0.0);
  for (uint i = thread; i < blockKeys * keyStride; i += gl_WorkGroupSize.x) keys[i] = vec4(0.0);
  for (uint r = thread; r < numQueries; r += gl_WorkGroupSize.x) {
    const uint head = kvHead * group + (firstQuery + r) % group;
    largest[numQueries + r] = hasSink ? valueAt(vectorFormat, push.sinks, head) : nothing;
  }
  barrier();
  for (uint i = thread; i < count * halfDim; i += gl_WorkGroupSize.x) {
    const uint r = i / halfDim;
    const uint d = i % halfDim;
    const uint token = (firstQuery + r) / group;
    const uint head = kvHead * group + (firstQuery + r) % group;
    const uint64_t angle = uint64_t(place.w + token) * halfDim + d;
    const float c = ReadFloats(floatsFrom(push.cos, angle)).at[0];
    const float s = ReadFloats(floatsFrom(push.sin, angle)).at[0];
    const uint64_t from = (uint64_t(firstRow + token) * push.numHeads + head) * headDim + d;
    ReadFloats q = ReadFloats(floatsFrom(push.q, from));
    const float a = q.at[0];
    const float b = q.at[halfDim];
    queries[r * quads + d / 4][d % 4] = (a * c - b * s) * push.scale;
    queries[r * quads + (halfDim + d) / 4][(halfDim + d) % 4] = (b * c + a * s) * push.scale;
  }

  const uint team = thread / headDim < numTeams ? thread / headDim : 0;
  const uint channel = thread - team * headDim;
  const bool isIdle = numTeams > 1 && thread >= numTeams * headDim;
  float sums[queriesEach * channelsEach];
  float totals[queriesEach];
  [[unroll]] for (uint i = 0; i < queriesEach * channelsEach; ++i) sums[i] = 0.0;
  [[unroll]] for (uint i = 0; i < queriesEach; ++i) totals[i] = hasSink ? 1.0 : 0.0;

  uint now = 0;
  for (uint block = begin; block < end; block += blockKeys) {
    const uint numKeys = min(blockKeys, end - block);
    for (uint i = thread; i < numKeys * headDim; i += gl_WorkGroupSize.x) {
      const uint d = i % headDim;
      keys[i / headDim * keyStride + d / 4][d % 4] =
          Floats(elementOf(sharedKeysAt, keysAt, numShared, block + i / headDim, d)).at[0];
    }
    barrier();
    for (uint i = thread; i < count * blockKeys; i += gl_WorkGroupSize.x) {
      const uint r = i / blockKeys;
      const uint j = i % blockKeys;
      const uint position = place.w + (firstQuery + r) / group;
      const uint key = block + j;
      float score = nothing;
      if (key <= position && key >= firstKeyOf(position)) {
        vec4 products = vec4(0.0);
        for (uint d = 0; d < quads; ++d) products = fma(queries[r * quads + d], keys[j * keyStride + d], products);
        score = (products.x + products.y) + (products.z + products.w);
      }
      scores[i] = score;
    }
    barrier();
    const uint before = (1 - now) * numQueries;
    for (uint i = thread; i < count * blockKeys; i += gl_WorkGroupSize.x) {
      const uint r = i / blockKeys;
      float most = largest[before + r];
      for (uint j = 0; j < blockKeys; ++j) most = max(most, scores[r * blockKeys + j]);
      shares[i] = scores[i] == nothing ? 0.0 : exp(scores[i] - most);
      if (i % blockKeys == 0) {
        largest[now * numQueries + r] = most;
        corrections[r] = exp(largest[before + r] - most);
      }
    }
    barrier();
    if (!isIdle) {
      [[unroll]] for (uint i = 0; i < queriesEach; ++i) {
        const float correction = corrections[min(team + i * numTeams, numQueries - 1)];
        totals[i] *= correction;
        [[unroll]] for (uint c = 0; c < channelsEach; ++c) sums[i * channelsEach + c] *= correction;
      }
      for (uint j = 0; j < numKeys; ++j) {
        float value[channelsEach];
        [[unroll]] for (uint c = 0; c < channelsEach; ++c) {
          const uint d = min(channel + c * gl_WorkGroupSize.x, headDim - 1);
          value[c] = Floats(elementOf(sharedValuesAt, valuesAt, numShared, block + j, d)).at[0];
        }
        [[unroll]] for (uint i = 0; i < queriesEach; ++i) {
          const float share = shares[min(team + i * numTeams, numQueries - 1) * blockKeys + j];
          totals[i] += share;
          [[unroll]] for (uint c = 0; c < channelsEach; ++c)
            sums[i * channelsEach + c] = fma(share, value[c], sums[i * channelsEach + c]);
        }
      }
    }
    now = 1 - now;
  }

  [[unroll]] for (uint i = 0; i < queriesEach; ++i) {
    const uint r = team + i * numTeams;
    if (isIdle || r >= count) continue;
    const uint row = firstRow + (firstQuery + r) / group;
    const uint head = kvHead * group + (firstQuery + r) % group;
    const uint64_t to = isWhole
        ? floatsFrom(push.out_, (uint64_t(row) * push.numHeads + head) * headDim)
        : floatsFrom(push.partials,
                     ((uint64_t(row - push.firstRow) * push.numHeads + head) * push.mostParts + part) * (headDim + 2));
    [[unroll]] for (uint c = 0; c < channelsEach; ++c) {
      const uint d = channel + c * gl_WorkGroupSize.x;
      const float sum = sums[i * channelsEach + c];
      if (d < headDim) Floats(floatsFrom(to, d)).at[0] = isWhole ? sum / totals[i] : sum;
    }
    if (isWhole || channel != 0) continue;
    Floats(floatsFrom(to, headDim)).at[0] = totals[i];
    Floats(floatsFrom(to, headDim + 1)).at[0] = largest[(1 - now) * numQueries + r];
  }
}
