// out = activation(gate) * up of a gated FFN, times sigmoid(share) of the row where rows have one; out may be gate or up.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(constant_id = 1) const uint activation = 0; // in the order of `activations` in kernels.ts

layout(push_constant) uniform Push {
  uint64_t gate;   // (count)
  uint64_t up;     // (count)
  uint64_t out_;   // (count)
  uint64_t shares; // (count / width), or 0
  uint count;
  uint width;
} push;

float silu(float x) { return x / (1.0 + exp(-x)); }

float geluTanh(float x) {
  // tanh of large arguments overflows in some drivers
  return 0.5 * x * (1.0 + tanh(clamp(0.7978845608028654 * (x + 0.044715 * x * x * x), -15.0, 15.0)));
}

// gpt-oss: both sides bounded, up moved by one.
float clampedSwiglu(float gate, float up) {
  const float bounded = min(gate, 7.0);
  return (clamp(up, -7.0, 7.0) + 1.0) * (bounded / (1.0 + exp(-1.702 * bounded)));
}

float activated(float gate, float up) {
  switch (activation) {
    case 1: return geluTanh(gate) * up;
    case 2: return clampedSwiglu(gate, up);
    default: return silu(gate) * up;
  }
}

void main() {
  const uint i = item();
  if (i >= push.count) return;
  const float gate = Floats(floatsFrom(push.gate, i)).at[0];
  const float up = Floats(floatsFrom(push.up, i)).at[0];
  const float share =
    push.shares == 0 ? 1.0 : 1.0 / (1.0 + exp(-Floats(floatsFrom(push.shares, i / push.width)).at[0]));
  Floats(floatsFrom(push.out_, i)).at[0] = share * activated(gate, up);
}
