// Reading blocks, which begin at any byte, and what ggml's have in common.
uint byteAt(uint64_t at) { return ReadWords(at & ~3ul).at[0] >> (8 * (uint(at) & 3)) & 255; }

uint wordAt(uint64_t at) {
  ReadWords words = ReadWords(at & ~3ul);
  const uint shift = 8 * (uint(at) & 3);
  return shift == 0 ? words.at[0] : words.at[0] >> shift | words.at[1] << (32 - shift);
}

// At an even address.
float halfAt(uint64_t at) { return unpackHalf2x16(ReadWords(at & ~3ul).at[0] >> (8 * (uint(at) & 2))).x; }

vec4 bytesOf(uint word) { return vec4(uvec4(word, word >> 8, word >> 16, word >> 24) & 255u); }

vec4 signedBytesOf(uint word) { return vec4(ivec4(word << 24, word << 16, word << 8, word) >> 24); }

// Bits of a byte spread to the lowest bits of the four bytes of a word: its lower four, and its upper four.
uint spreadBits(uint bits) { return (bits & 1) | (bits & 2) << 7 | (bits & 4) << 14 | (bits & 8) << 21; }
