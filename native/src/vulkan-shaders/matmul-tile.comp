// y = x · Wᵀ (+ bias) (+ addend) for many rows: a workgroup computes a tile of y out of tiles of x and W in shared
// memory, fp32, each thread `threadRows` x `threadOutputs` of it, which lie apart so that neighbours read neighbours.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"
#include "weights.glsl"
#include "matmul.glsl"

layout(constant_id = 4) const uint tileRows = 64;
layout(constant_id = 5) const uint tileOutputs = 64;
layout(constant_id = 6) const uint threadRows = 8;
layout(constant_id = 7) const uint threadOutputs = 8;
layout(constant_id = 8) const bool byEights = true; // rows of W and x are aligned, and their length is a multiple of 8
layout(constant_id = 9) const bool roundsInputs = false; // of W and x, to bf16: as cooperative matrices take them

vec4 taken(vec4 values) { return roundsInputs ? roundedToBf16(values) : values; }

const uint tileDepth = 16;
const uint eights = tileDepth / 8;
// One more than a tile is wide: the eights of four rows that are stored together fall into different banks.
const uint inputStride = tileRows + 1;
const uint weightStride = tileOutputs + 1;
shared float inputs[tileDepth * inputStride];   // (depth, row)
shared float weights[tileDepth * weightStride]; // (depth, output)

const uint acrossOutputs = tileOutputs / threadOutputs;
const uint acrossRows = tileRows / threadRows;

void readInputs(uint firstRow, uint firstDepth) {
  for (uint i = gl_LocalInvocationID.x; i < tileRows * eights; i += gl_WorkGroupSize.x) {
    const uint r = i / eights;
    const uint k = i % eights * 8;
    const uint64_t row = floatsFrom(push.x, uint64_t(push.depth) * (firstRow + r) + firstDepth);
    const bool isRow = firstRow + r < push.rows;
    if (byEights) {
      vec4 low = vec4(0.0);
      vec4 high = vec4(0.0);
      if (isRow && firstDepth + k < push.depth) f32Eight(row, k, low, high);
      low = taken(low);
      high = taken(high);
      [[unroll]] for (uint j = 0; j < 4; ++j) {
        inputs[(k + j) * inputStride + r] = low[j];
        inputs[(k + 4 + j) * inputStride + r] = high[j];
      }
    } else {
      for (uint j = 0; j < 8; ++j)
        inputs[(k + j) * inputStride + r] =
            isRow && firstDepth + k + j < push.depth ? taken(vec4(f32At(row, k + j))).x : 0.0;
    }
  }
}

void readWeights(uint firstOutput, uint firstDepth) {
  for (uint i = gl_LocalInvocationID.x; i < tileOutputs * eights; i += gl_WorkGroupSize.x) {
    const uint o = i / eights;
    const uint k = i % eights * 8;
    const WeightRow row = weightRow(firstOutput + o);
    const bool isOutput = firstOutput + o < push.width;
    const uint at = firstDepth + k;
    if (byEights) {
      vec4 low = vec4(0.0);
      vec4 high = vec4(0.0);
      if (isOutput && at < push.depth) weightEight(row, at, low, high);
      low = taken(low);
      high = taken(high);
      [[unroll]] for (uint j = 0; j < 4; ++j) {
        weights[(k + j) * weightStride + o] = low[j];
        weights[(k + 4 + j) * weightStride + o] = high[j];
      }
    } else {
      for (uint j = 0; j < 8; ++j)
        weights[(k + j) * weightStride + o] =
            isOutput && at + j < push.depth ? taken(vec4(weightAt(row, at + j))).x : 0.0;
    }
  }
}

void main() {
  const uint numTilesAcross = (push.width + tileOutputs - 1) / tileOutputs;
  const uint tile = workgroup();
  const uint firstOutput = tile % numTilesAcross * tileOutputs;
  const uint firstRow = tile / numTilesAcross * tileRows;
  if (firstRow >= push.rows) return;
  const uint atOutput = gl_LocalInvocationID.x % acrossOutputs;
  const uint atRow = gl_LocalInvocationID.x / acrossOutputs;

  float sums[threadRows * threadOutputs];
  [[unroll]] for (uint i = 0; i < threadRows * threadOutputs; ++i) sums[i] = 0.0;
  for (uint depth = 0; depth < push.depth; depth += tileDepth) {
    readInputs(firstRow, depth);
    readWeights(firstOutput, depth);
    barrier();
    for (uint k = 0; k < tileDepth; ++k) {
      float a[threadRows];
      float b[threadOutputs];
      [[unroll]] for (uint r = 0; r < threadRows; ++r) a[r] = inputs[k * inputStride + atRow + r * acrossRows];
      [[unroll]] for (uint o = 0; o < threadOutputs; ++o)
        b[o] = weights[k * weightStride + atOutput + o * acrossOutputs];
      [[unroll]] for (uint r = 0; r < threadRows; ++r)
        [[unroll]] for (uint o = 0; o < threadOutputs; ++o)
          sums[r * threadOutputs + o] = fma(a[r], b[o], sums[r * threadOutputs + o]);
    }
    barrier();
  }

  [[unroll]] for (uint o = 0; o < threadOutputs; ++o) {
    const uint output_ = firstOutput + atOutput + o * acrossOutputs;
    if (output_ >= push.width) continue;
    const float bias = push.bias == 0ul ? 0.0 : valueAt(vectorFormat, push.bias, output_);
    [[unroll]] for (uint r = 0; r < threadRows; ++r) {
      const uint row = firstRow + atRow + r * acrossRows;
      if (row >= push.rows) continue;
      const uint64_t at = uint64_t(push.width) * row + output_;
      float sum = sums[r * threadOutputs + o] + bias;
      if (push.addend != 0ul) sum += ReadFloats(floatsFrom(push.addend, at)).at[0];
      Floats(floatsFrom(push.y, at)).at[0] = sum;
    }
  }
}
