// y = x / sqrt(mean(x²) + eps) * (offset + weight) (+ addend), a workgroup per row; y may be x. Norms of single heads
// are rows of one head.
#version 460
#extension GL_GOOGLE_include_directive : require
#extension GL_KHR_shader_subgroup_arithmetic : require
#include "memory.glsl"
#include "weights.glsl"

layout(constant_id = 1) const uint vectorFormat = 1;
layout(constant_id = 2) const uint mostSubgroups = 16;

layout(push_constant) uniform Push {
  uint64_t x;      // (row, width)
  uint64_t weight; // (width)
  uint64_t addend; // (row, width), 0 for none
  uint64_t y;      // (row, width)
  uint rows;
  uint width;
  float eps;
  float offset;
} push;

shared float parts[mostSubgroups];

void main() {
  const uint row = workgroup();
  if (row >= push.rows) return;
  const uint64_t first = uint64_t(push.width) * row;
  Floats x = Floats(floatsFrom(push.x, first)); // not ReadFloats: y may be x
  float sum = 0.0;
  for (uint i = gl_LocalInvocationID.x; i < push.width; i += gl_WorkGroupSize.x) sum = fma(x.at[i], x.at[i], sum);
  sum = subgroupAdd(sum);
  if (subgroupElect()) parts[gl_SubgroupID] = sum;
  barrier();
  float total = 0.0;
  for (uint s = 0; s < gl_NumSubgroups; ++s) total += parts[s];
  const float scale = 1.0 / sqrt(total / float(push.width) + push.eps);

  Floats y = Floats(floatsFrom(push.y, first));
  ReadFloats addend = ReadFloats(floatsFrom(push.addend, first));
  for (uint i = gl_LocalInvocationID.x; i < push.width; i += gl_WorkGroupSize.x) {
    const float normed = x.at[i] * scale * (push.offset + valueAt(vectorFormat, push.weight, i));
    y.at[i] = push.addend == 0ul ? normed : normed + addend.at[i];
  }
}
