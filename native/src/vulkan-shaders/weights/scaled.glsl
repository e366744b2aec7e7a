// Small numbers whose scales lie apart: see codecs/scaled.ts, codecs/mxfp4.ts.

// 1 sign, 4 exponent, 3 mantissa bits.
vec4 e4m3s(uvec4 bits) {
  const uvec4 rest = bits & 127u;
  const vec4 normal = uintBitsToFloat((rest << 20) + (120u << 23));
  const vec4 magnitudes = mix(normal, vec4(rest) * 0.001953125, lessThan(rest, uvec4(8)));
  const vec4 values = mix(magnitudes, uintBitsToFloat(uvec4(0x7fc00000u)), equal(rest, uvec4(127)));
  return uintBitsToFloat(floatBitsToUint(values) | (bits & 128u) << 24);
}

float fp8At(uint64_t row, uint k) { return e4m3s(uvec4(byteAt(row + k))).x; }

uvec4 fourBytes(uint word) { return uvec4(word, word >> 8, word >> 16, word >> 24); }

void fp8Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  low = e4m3s(fourBytes(wordAt(row + k)));
  high = e4m3s(fourBytes(wordAt(row + k + 4ul)));
}

// Four bits each, the first in the lowest.
uvec4 fours(uint word) { return uvec4(word, word >> 4, word >> 8, word >> 12) & 15u; }

void int4Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint word = wordAt(row + k / 2);
  low = vec4(fours(word)) - 8.0;
  high = vec4(fours(word >> 16)) - 8.0;
}

void int8Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  low = signedBytesOf(wordAt(row + k));
  high = signedBytesOf(wordAt(row + k + 4ul));
}

void int8PackedEight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  low = bytesOf(wordAt(row + k)) - 128.0;
  high = bytesOf(wordAt(row + k + 4ul)) - 128.0;
}

void mxfp4SplitEight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint word = wordAt(row + k / 2);
  low = 0.5 * doubledE2m1s(fours(word));
  high = 0.5 * doubledE2m1s(fours(word >> 16));
}

// A power of two; the least is not normal, and what devices make of that is as good as 0.
float e8m0At(uint64_t scales, uint i) {
  const uint exponent = byteAt(scales + i);
  return uintBitsToFloat(exponent == 0 ? 0x00400000u : exponent << 23);
}

// Numbers are those of `scaleFormats` in kernels.ts.
float scaleAt(uint format, uint64_t scales, uint i) {
  switch (format) {
    case 1: return f32At(scales, i);
    case 2: return bf16At(scales, i);
    case 3: return f16At(scales, i);
    default: return e8m0At(scales, i);
  }
}
