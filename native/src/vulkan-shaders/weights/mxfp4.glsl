// ggml's MXFP4: 32 values of four bits under a power of two: see codecs/mxfp4.ts.

// Twice the value of 1 sign, 2 exponent, 1 mantissa bits.
float doubledE2m1(uint bits) {
  const uint rest = bits & 7;
  const uint magnitude = rest < 4 ? rest : 2 * (2 + (rest & 1)) << (rest / 2 - 2);
  return (bits & 8) != 0 ? -float(magnitude) : float(magnitude);
}

vec4 doubledE2m1s(uint word) {
  return vec4(doubledE2m1(word), doubledE2m1(word >> 8), doubledE2m1(word >> 16), doubledE2m1(word >> 24));
}

void mxfp4Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint64_t block = row + 17ul * (k / 32);
  const uint exponent = byteAt(block); // less 128 it is half the scale's; the least are not normal, and as good as 0
  const float scale = uintBitsToFloat(exponent < 2 ? 0 : exponent - 1 << 23);
  low = scale * doubledE2m1s(nibbles(block + 1ul, k % 32));
  high = scale * doubledE2m1s(nibbles(block + 1ul, k % 32 + 4));
}
