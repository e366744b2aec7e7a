// ggml's MXFP4: 32 values of four bits under a power of two: see codecs/mxfp4.ts.

// Twice the values of 1 sign, 2 exponent, 1 mantissa bits.
vec4 doubledE2m1s(uvec4 bits) {
  const uvec4 rest = bits & 7u;
  const uvec4 large = 2 + (rest & 1u) << max(rest / 2, uvec4(2)) - 2 << 1;
  const vec4 magnitudes = vec4(mix(large, rest, lessThan(rest, uvec4(4))));
  return uintBitsToFloat(floatBitsToUint(magnitudes) | (bits & 8u) << 28);
}

vec4 doubledE2m1s(uint word) { return doubledE2m1s(uvec4(word, word >> 8, word >> 16, word >> 24)); }

void mxfp4Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint64_t block = row + 17ul * (k / 32);
  const uint exponent = byteAt(block); // less 128 it is half the scale's; the least are not normal, and as good as 0
  const float scale = uintBitsToFloat(exponent < 2 ? 0 : exponent - 1 << 23);
  low = scale * doubledE2m1s(nibbles(block + 1ul, k % 32));
  high = scale * doubledE2m1s(nibbles(block + 1ul, k % 32 + 4));
}
