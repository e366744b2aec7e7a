// ggml's blocks of 32 values with one scale: see codecs/small-blocks.ts. The first half of a block lies in the low
// nibbles, the second in the high ones.
void q8_0Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint64_t block = row + 34ul * (k / 32);
  const float scale = halfAt(block);
  const uint64_t at = block + 2ul + k % 32;
  low = scale * signedBytesOf(wordAt(at));
  high = scale * signedBytesOf(wordAt(at + 4ul));
}

uint nibbles(uint64_t from, uint within) { return wordAt(from + within % 16) >> (within < 16 ? 0 : 4) & 0x0f0f0f0fu; }

void q4_0Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint64_t block = row + 18ul * (k / 32);
  const float scale = halfAt(block);
  low = scale * (bytesOf(nibbles(block + 2ul, k % 32)) - 8.0);
  high = scale * (bytesOf(nibbles(block + 2ul, k % 32 + 4)) - 8.0);
}

void q4_1Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint64_t block = row + 20ul * (k / 32);
  const vec2 scaleAndLeast = unpackHalf2x16(wordAt(block));
  low = scaleAndLeast.x * bytesOf(nibbles(block + 4ul, k % 32)) + scaleAndLeast.y;
  high = scaleAndLeast.x * bytesOf(nibbles(block + 4ul, k % 32 + 4)) + scaleAndLeast.y;
}

// Four values of five bits: `fifths` is the word of fifth bits.
vec4 fiveBits(uint64_t from, uint fifths, uint within) {
  return bytesOf(nibbles(from, within) | spreadBits(fifths >> within) << 4);
}

void q5_0Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint64_t block = row + 22ul * (k / 32);
  const float scale = halfAt(block);
  const uint fifths = wordAt(block + 2ul);
  low = scale * (fiveBits(block + 6ul, fifths, k % 32) - 16.0);
  high = scale * (fiveBits(block + 6ul, fifths, k % 32 + 4) - 16.0);
}

void q5_1Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint64_t block = row + 24ul * (k / 32);
  const vec2 scaleAndLeast = unpackHalf2x16(wordAt(block));
  const uint fifths = wordAt(block + 4ul);
  low = scaleAndLeast.x * fiveBits(block + 8ul, fifths, k % 32) + scaleAndLeast.y;
  high = scaleAndLeast.x * fiveBits(block + 8ul, fifths, k % 32 + 4) + scaleAndLeast.y;
}
