// values = min(max(values, -clip), clip), in place.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint64_t values; // (count)
  uint count;
  float clip;
} push;

void main() {
  const uint i = item();
  if (i >= push.count) return;
  Floats place = Floats(floatsFrom(push.values, i));
  // A value that is no number stays one: `clamp` may make a bound of it, and a check downstream would miss it.
  if (abs(place.at[0]) > push.clip) place.at[0] = place.at[0] < 0.0 ? -push.clip : push.clip;
}
