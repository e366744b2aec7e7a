// What workgroups of `attend` have found of parts of a context, as one: a workgroup takes a head of a run of rows.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint64_t partials; // as `attend` writes them
  uint64_t runs;
  uint64_t out_; // (row, head, headDim)
  uint numHeads;
  uint headDim;
  uint mostParts;
  uint firstRow;
} push;

void main() {
  const uvec4 run = ReadUvec4s(push.runs).at[gl_WorkGroupID.x];
  if (run.w == 1) return; // is there already
  const uint head = gl_WorkGroupID.y;
  const uint stride = push.headDim + 2;
  for (uint i = gl_LocalInvocationID.x; i < run.y * push.headDim; i += gl_WorkGroupSize.x) {
    const uint row = run.x + i / push.headDim;
    const uint d = i % push.headDim;
    const uint64_t first = (uint64_t(row - push.firstRow) * push.numHeads + head) * push.mostParts;
    ReadFloats parts = ReadFloats(floatsFrom(push.partials, first * stride));
    float most = parts.at[push.headDim + 1];
    for (uint part = 1; part < run.w; ++part) most = max(most, parts.at[part * stride + push.headDim + 1]);
    float sum = 0.0;
    float total = 0.0;
    for (uint part = 0; part < run.w; ++part) {
      const float share = exp(parts.at[part * stride + push.headDim + 1] - most);
      sum = fma(share, parts.at[part * stride + d], sum);
      total = fma(share, parts.at[part * stride + push.headDim], total);
    }
    Floats(floatsFrom(push.out_, (uint64_t(row) * push.numHeads + head) * push.headDim + d)).at[0] = sum / total;
  }
}
