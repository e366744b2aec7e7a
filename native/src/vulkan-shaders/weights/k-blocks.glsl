// ggml's K blocks of 256 values: see codecs/k-blocks.ts.

// Scale and minimum of a group of 32, of six bits each in 12 bytes.
vec2 sixBits(uint64_t from, uint group) {
  if (group < 4) return vec2(byteAt(from + group) & 63, byteAt(from + 4ul + group) & 63);
  const uint lower = byteAt(from + 4ul + group);
  return vec2((lower & 15) | byteAt(from + group - 4ul) >> 6 << 4, lower >> 4 | byteAt(from + group) >> 6 << 4);
}

uint nibblesOfGroup(uint64_t from, uint group, uint within) {
  return wordAt(from + 32 * (group / 2) + within) >> (4 * (group % 2)) & 0x0f0f0f0fu;
}

void q4_kEight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint64_t block = row + 144ul * (k / 256);
  const uint group = k % 256 / 32;
  const vec2 scaleAndLeast = unpackHalf2x16(wordAt(block)) * sixBits(block + 4ul, group);
  low = scaleAndLeast.x * bytesOf(nibblesOfGroup(block + 16ul, group, k % 32)) - scaleAndLeast.y;
  high = scaleAndLeast.x * bytesOf(nibblesOfGroup(block + 16ul, group, k % 32 + 4)) - scaleAndLeast.y;
}

vec4 fiveBitsOfGroup(uint64_t block, uint group, uint within) {
  const uint fifths = wordAt(block + 16ul + within) >> group & 0x01010101u;
  return bytesOf(nibblesOfGroup(block + 48ul, group, within) | fifths << 4);
}

void q5_kEight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint64_t block = row + 176ul * (k / 256);
  const uint group = k % 256 / 32;
  const vec2 scaleAndLeast = unpackHalf2x16(wordAt(block)) * sixBits(block + 4ul, group);
  low = scaleAndLeast.x * fiveBitsOfGroup(block, group, k % 32) - scaleAndLeast.y;
  high = scaleAndLeast.x * fiveBitsOfGroup(block, group, k % 32 + 4) - scaleAndLeast.y;
}

// Four values of six bits, centred.
vec4 sixBitsOfGroup(uint64_t block, uint within) {
  const uint part = within / 128; // has 64 bytes of nibbles and 32 of upper bits
  const uint group = within % 128 / 32;
  const uint lower = wordAt(block + 64 * part + within % 64) >> (4 * (group / 2)) & 0x0f0f0f0fu;
  const uint upper = wordAt(block + 128ul + 32 * part + within % 32) >> (2 * group) & 0x03030303u;
  return bytesOf(lower | upper << 4) - 32.0;
}

void q6_kEight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uint64_t block = row + 210ul * (k / 256);
  const uint within = k % 256;
  const float scale = halfAt(block + 208ul) * float(int(byteAt(block + 192ul + within / 16) << 24) >> 24);
  low = scale * sixBitsOfGroup(block, within);
  high = scale * sixBitsOfGroup(block, within + 4);
}
