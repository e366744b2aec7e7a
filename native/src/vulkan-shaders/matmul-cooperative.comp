// y = x · Wᵀ (+ bias) (+ addend) for many rows by cooperative matrices: tiles of x and W, narrowed to 16 bits, in shared
// memory; sums in fp32. Each subgroup computes `subgroupRows` x `subgroupOutputs` blocks of the tile.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require
#extension GL_KHR_cooperative_matrix : require
#extension GL_KHR_memory_scope_semantics : require
#extension GL_KHR_shader_subgroup_basic : require
#include "memory.glsl"
#include "weights.glsl"
#include "matmul.glsl"

// Threads: one subgroup for each of acrossRows * acrossOutputs.
layout(constant_id = 4) const uint blockRows = 16; // M, N and K of what the device multiplies at once
layout(constant_id = 5) const uint blockOutputs = 16;
layout(constant_id = 6) const uint blockDepth = 16;
layout(constant_id = 7) const uint subgroupRows = 2;
layout(constant_id = 8) const uint subgroupOutputs = 4;
layout(constant_id = 9) const uint acrossRows = 4;
layout(constant_id = 10) const uint acrossOutputs = 2;
layout(constant_id = 11) const bool byEights = true; // rows of W and x are aligned, and their length is a multiple of 8
layout(constant_id = 12) const bool packsBf16 = false; // else fp16

const uint tileRows = blockRows * subgroupRows * acrossRows;
const uint tileOutputs = blockOutputs * subgroupOutputs * acrossOutputs;
const uint tileDepth = 32;
const uint eights = tileDepth / 8;
const uint stride = tileDepth / 2 + 4; // in words of two; neighbouring rows begin in different banks
shared uint inputs[tileRows * stride];     // (row, depth)
shared uint weights[tileOutputs * stride]; // (output, depth)
shared float results[acrossRows * acrossOutputs * blockRows * blockOutputs];

// The number of `weightFormats` in kernels.ts, and of none.
const uint bf16Packed = 18;
const uint noFormat = 0xffffffffu;

uint pack(float first, float second) {
  const uvec4 bits = roundedBits(vec4(first, second, 0.0, 0.0)) >> 16;
  return packsBf16 ? bits.x | bits.y << 16 : packHalf2x16(vec2(first, second));
}

void readInputs(uint firstRow, uint firstDepth) {
  for (uint i = gl_LocalInvocationID.x; i < tileRows * eights; i += gl_WorkGroupSize.x) {
    const uint r = i / eights;
    const uint k = firstDepth + i % eights * 8;
    const uint64_t row = floatsFrom(push.x, uint64_t(push.depth) * (firstRow + r));
    vec4 low = vec4(0.0);
    vec4 high = vec4(0.0);
    if (firstRow + r < push.rows) {
      if (byEights) {
        if (k < push.depth) f32Eight(row, k, low, high);
      } else {
        for (uint j = 0; j < 4; ++j) {
          if (k + j < push.depth) low[j] = f32At(row, k + j);
          if (k + 4 + j < push.depth) high[j] = f32At(row, k + 4 + j);
        }
      }
    }
    const uint at = r * stride + i % eights * 4;
    inputs[at] = pack(low.x, low.y);
    inputs[at + 1] = pack(low.z, low.w);
    inputs[at + 2] = pack(high.x, high.y);
    inputs[at + 3] = pack(high.z, high.w);
  }
}

void readWeights(uint firstOutput, uint firstDepth) {
  for (uint i = gl_LocalInvocationID.x; i < tileOutputs * eights; i += gl_WorkGroupSize.x) {
    const uint o = i / eights;
    const uint k = firstDepth + i % eights * 8;
    const WeightRow row = weightRow(firstOutput + o);
    const uint at = o * stride + i % eights * 4;
    const bool isOutput = firstOutput + o < push.width;
    // In two conditions: of three constants glslang 13 makes code that is not valid.
    const bool canBeCopied = scaleFormat == 0 && byEights;
    if (canBeCopied && weightFormat == (packsBf16 ? 1 : 2)) { // as stored
      const uvec4 words = isOutput && k < push.depth ? ReadUvec4s(row.at + 2ul * k).at[0] : uvec4(0);
      [[unroll]] for (uint j = 0; j < 4; ++j) weights[at + j] = words[j];
      continue;
    }
    if (canBeCopied && weightFormat == (packsBf16 ? bf16Packed : noFormat)) {
      const uvec4 words = isOutput && k < push.depth ? bf16PackedWords(row.at, k) : uvec4(0);
      [[unroll]] for (uint j = 0; j < 4; ++j) weights[at + j] = words[j];
      continue;
    }
    vec4 low = vec4(0.0);
    vec4 high = vec4(0.0);
    if (isOutput) {
      if (byEights) {
        if (k < push.depth) weightEight(row, k, low, high);
      } else {
        for (uint j = 0; j < 4; ++j) {
          if (k + j < push.depth) low[j] = weightAt(row, k + j);
          if (k + 4 + j < push.depth) high[j] = weightAt(row, k + 4 + j);
        }
      }
    }
    weights[at] = pack(low.x, low.y);
    weights[at + 1] = pack(low.z, low.w);
    weights[at + 2] = pack(high.x, high.y);
    weights[at + 3] = pack(high.z, high.w);
  }
}

void main() {
  const uint numTilesAcross = (push.width + tileOutputs - 1) / tileOutputs;
  const uint tile = workgroup();
  const uint firstOutput = tile % numTilesAcross * tileOutputs;
  const uint firstRow = tile / numTilesAcross * tileRows;
  if (firstRow >= push.rows) return;
  // Of this subgroup, within the tile.
  const uint atRow = gl_SubgroupID / acrossOutputs * subgroupRows * blockRows;
  const uint atOutput = gl_SubgroupID % acrossOutputs * subgroupOutputs * blockOutputs;

  coopmat<float, gl_ScopeSubgroup, blockRows, blockOutputs, gl_MatrixUseAccumulator>
      sums[subgroupRows * subgroupOutputs];
  [[unroll]] for (uint i = 0; i < subgroupRows * subgroupOutputs; ++i)
    sums[i] = coopmat<float, gl_ScopeSubgroup, blockRows, blockOutputs, gl_MatrixUseAccumulator>(0.0);
  for (uint depth = 0; depth < push.depth; depth += tileDepth) {
    readInputs(firstRow, depth);
    readWeights(firstOutput, depth);
    barrier();
    [[unroll]] for (uint k = 0; k < tileDepth; k += blockDepth) {
      coopmat<float16_t, gl_ScopeSubgroup, blockRows, blockDepth, gl_MatrixUseA> a[subgroupRows];
      [[unroll]] for (uint r = 0; r < subgroupRows; ++r)
        coopMatLoad(a[r], inputs, (atRow + r * blockRows) * stride + k / 2, stride,
                    gl_CooperativeMatrixLayoutRowMajor);
      [[unroll]] for (uint o = 0; o < subgroupOutputs; ++o) {
        coopmat<float16_t, gl_ScopeSubgroup, blockDepth, blockOutputs, gl_MatrixUseB> b;
        coopMatLoad(b, weights, (atOutput + o * blockOutputs) * stride + k / 2, stride,
                    gl_CooperativeMatrixLayoutColumnMajor);
        [[unroll]] for (uint r = 0; r < subgroupRows; ++r)
          sums[r * subgroupOutputs + o] = coopMatMulAdd(a[r], b, sums[r * subgroupOutputs + o]);
      }
    }
    barrier();
  }

  const uint first = gl_SubgroupID * blockRows * blockOutputs;
  [[unroll]] for (uint r = 0; r < subgroupRows; ++r) {
    [[unroll]] for (uint o = 0; o < subgroupOutputs; ++o) {
      coopMatStore(sums[r * subgroupOutputs + o], results, first, blockOutputs, gl_CooperativeMatrixLayoutRowMajor);
      subgroupBarrier();
      for (uint i = gl_SubgroupInvocationID; i < blockRows * blockOutputs; i += gl_SubgroupSize) {
        const uint row = firstRow + atRow + r * blockRows + i / blockOutputs;
        const uint output_ = firstOutput + atOutput + o * blockOutputs + i % blockOutputs;
        if (row >= push.rows || output_ >= push.width) continue;
        float sum = results[first + i];
        if (push.bias != 0ul) sum += valueAt(vectorFormat, push.bias, output_);
        const uint64_t at = uint64_t(push.width) * row + output_;
        if (push.addend != 0ul) sum += ReadFloats(floatsFrom(push.addend, at)).at[0];
        Floats(floatsFrom(push.y, at)).at[0] = sum;
      }
      subgroupBarrier();
    }
  }
}
