// Takes some logits out of their rows, which leaves the least number there, or puts them back.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint64_t source; // (row, width) logits
  uint64_t places; // (place), words: row * width + token, distinct
  uint64_t saved;  // (place), words
  uint count;
  uint putsBack;
} push;

void main() {
  const uint i = item();
  if (i >= push.count) return;
  Words logit = Words(floatsFrom(push.source, ReadWords(floatsFrom(push.places, i)).at[0]));
  Words saved = Words(floatsFrom(push.saved, i));
  if (push.putsBack == 1) {
    logit.at[0] = saved.at[0];
  } else {
    saved.at[0] = logit.at[0];
    logit.at[0] = 0xff7fffffu;
  }
}
