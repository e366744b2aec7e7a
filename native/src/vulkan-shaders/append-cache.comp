// Rotates new keys (RoPE, rotate-half convention) into the KV cache and copies new values; a thread per pair of
// channels. Comes before `attend`.
#version 460
#extension GL_GOOGLE_include_directive : require
#include "memory.glsl"

layout(push_constant) uniform Push {
  uint64_t k;     // (row, kvHead, headDim)
  uint64_t v;     // (row, kvHead, headDim)
  uint64_t cache; // of the layer
  uint64_t cos;   // (position, headDim / 2)
  uint64_t sin;   // (position, headDim / 2)
  uint64_t places; // (row, 4): element of the sequence's keys and values in the cache, its capacity, position
  uint64_t shared_; // as for attend
  uint rows;
  uint numKvHeads;
  uint headDim;
} push;

void main() {
  const uint halfDim = push.headDim / 2;
  const uint i = item() % halfDim;
  const uint head = item() / halfDim % push.numKvHeads;
  const uint row = item() / halfDim / push.numKvHeads;
  if (row >= push.rows) return;
  const uvec4 place = ReadUvec4s(push.places).at[row];
  const uint64_t angle = uint64_t(place.w) * halfDim + i;
  const float c = ReadFloats(floatsFrom(push.cos, angle)).at[0];
  const float s = ReadFloats(floatsFrom(push.sin, angle)).at[0];

  const uint64_t from = (uint64_t(row) * push.numKvHeads + head) * push.headDim + i;
  ReadFloats k = ReadFloats(floatsFrom(push.k, from));
  ReadFloats v = ReadFloats(floatsFrom(push.v, from));
  const uint numShared = push.shared_ == 0ul ? 0 : ReadUvec4s(push.shared_).at[row].w;
  const uint64_t to = (uint64_t(head) * place.z + place.w - numShared) * push.headDim + i;
  Floats keys = Floats(floatsFrom(push.cache, place.x + to));
  Floats values = Floats(floatsFrom(push.cache, place.y + to));
  const float a = k.at[0];
  const float b = k.at[halfDim];
  keys.at[0] = a * c - b * s;
  keys.at[halfDim] = b * c + a * s;
  values.at[0] = v.at[0];
  values.at[halfDim] = v.at[halfDim];
}
