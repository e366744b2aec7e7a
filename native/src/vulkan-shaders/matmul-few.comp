// y = x · Wᵀ (+ bias) (+ addend) for few rows: bound by reading W, which happens once. A workgroup computes `outputs`
// outputs of `rows` rows, its threads taking turns along the depth; a row's sum has the same order whatever other rows
// there are. For more rows, workgroups follow along z.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#include "memory.glsl"
#include "weights.glsl"
#include "matmul.glsl"

layout(constant_id = 4) const uint numRows = 1;
layout(constant_id = 5) const uint numOutputs = 2;
layout(constant_id = 6) const bool byEights = true; // rows of W and x are aligned, and their length is a multiple of 8
layout(constant_id = 7) const uint mostSubgroups = 16;
layout(constant_id = 8) const bool roundsInputs = false; // of W and x, to bf16: as cooperative matrices take them

vec4 taken(vec4 values) { return roundsInputs ? roundedToBf16(values) : values; }

const uint numSums = numOutputs * numRows;
shared float parts[mostSubgroups * numSums];

// Rows and outputs past the end repeat the last, and are not written.
WeightRow weightRow(uint firstOutput, uint o) { return weightRow(min(firstOutput + o, push.width - 1)); }

uint64_t inputRow(uint firstRow, uint r) {
  return floatsFrom(push.x, uint64_t(push.depth) * min(firstRow + r, push.rows - 1));
}

void main() {
  const uint firstOutput = workgroup() * numOutputs;
  if (firstOutput >= push.width) return;
  const uint firstRow = gl_WorkGroupID.z * numRows;
  float sums[numSums];
  [[unroll]] for (uint i = 0; i < numSums; ++i) sums[i] = 0.0;

  if (byEights) {
    for (uint k = 8 * gl_LocalInvocationID.x; k < push.depth; k += 8 * gl_WorkGroupSize.x) {
      vec4 low[numOutputs];
      vec4 high[numOutputs];
      [[unroll]] for (uint o = 0; o < numOutputs; ++o) {
        weightEight(weightRow(firstOutput, o), k, low[o], high[o]);
        low[o] = taken(low[o]);
        high[o] = taken(high[o]);
      }
      [[unroll]] for (uint r = 0; r < numRows; ++r) {
        ReadVec4s input8 = ReadVec4s(floatsFrom(inputRow(firstRow, r), k));
        const vec4 a = taken(input8.at[0]);
        const vec4 b = taken(input8.at[1]);
        [[unroll]] for (uint o = 0; o < numOutputs; ++o)
          sums[o * numRows + r] += dot(low[o], a) + dot(high[o], b);
      }
    }
  } else {
    for (uint k = gl_LocalInvocationID.x; k < push.depth; k += gl_WorkGroupSize.x) {
      float weights[numOutputs];
      [[unroll]] for (uint o = 0; o < numOutputs; ++o)
        weights[o] = taken(vec4(weightAt(weightRow(firstOutput, o), k))).x;
      [[unroll]] for (uint r = 0; r < numRows; ++r) {
        const float a = taken(vec4(ReadFloats(floatsFrom(inputRow(firstRow, r), k)).at[0])).x;
        [[unroll]] for (uint o = 0; o < numOutputs; ++o) sums[o * numRows + r] += weights[o] * a;
      }
    }
  }

  [[unroll]] for (uint i = 0; i < numSums; ++i) {
    const float sum = subgroupAdd(sums[i]);
    if (subgroupElect()) parts[gl_SubgroupID * numSums + i] = sum;
  }
  barrier();
  for (uint i = gl_LocalInvocationID.x; i < numSums; i += gl_WorkGroupSize.x) {
    const uint output_ = firstOutput + i / numRows;
    const uint row = firstRow + i % numRows;
    if (output_ >= push.width || row >= push.rows) continue;
    float sum = 0.0;
    for (uint s = 0; s < gl_NumSubgroups; ++s) sum += parts[s * numSums + i];
    if (push.bias != 0ul) sum += valueAt(vectorFormat, push.bias, output_);
    const uint64_t at = uint64_t(push.width) * row + output_;
    if (push.addend != 0ul) sum += ReadFloats(floatsFrom(push.addend, at)).at[0];
    Floats(floatsFrom(push.y, at)).at[0] = sum;
  }
}
