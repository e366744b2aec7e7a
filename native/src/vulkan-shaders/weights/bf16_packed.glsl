// bf16 in blocks of 64 that share their highest exponent, in 100 bytes each: see codecs/bf16-packed.ts. Blocks begin at
// multiples of four. Four values are unpacked at once, a byte of a word each.
const uint highestBits = 0x80808080u; // of each byte
const uint evenBytes = 0x00ff00ffu;

// Codes below the highest exponent, modulo 256; of code 15 it is 0.
uint exponentsOf(uint highest, uint codes) {
  const uint all = highest * 0x01010101u;
  const uint below = (all | highestBits) - codes ^ ~all & highestBits; // no byte borrows of its neighbour
  const uint areZero = codes + 0x01010101u >> 4 & 0x01010101u;
  return below & ~(areZero * 255);
}

// Of four values the bf16 of 0 and 2, and of 1 and 3, in the halves of words.
uvec2 bf16sOf(uint exponents, uint magnitudes) {
  const uint upper = magnitudes & highestBits | exponents >> 1 & ~highestBits;
  const uint lower = exponents << 7 & highestBits | magnitudes & ~highestBits;
  return uvec2(lower & evenBytes | (upper & evenBytes) << 8, lower >> 8 & evenBytes | upper & ~evenBytes);
}

// Eight as two times four, each as above.
void bf16PackedHalves(uint64_t row, uint k, out uvec2 low, out uvec2 high) {
  const uint64_t block = row + 100ul * (k / 64);
  const uint within = k % 64;
  const uint header = ReadWords(block).at[0];
  const uint highest = header & 255u;
  ReadWords codes = ReadWords(block + (4 + within % 32));
  const uint shift = within < 32 ? 0 : 4;
  uint first = exponentsOf(highest, codes.at[0] >> shift & 0x0f0f0f0fu);
  uint second = exponentsOf(highest, codes.at[1] >> shift & 0x0f0f0f0fu);
  if ((header & 0xfc0fc000u) != 0xfc0fc000u) { // there are exceptions
    [[unroll]] for (int bit = 8; bit < 32; bit += 12) {
      const uint beyond = header >> bit + 6 & 63u;
      const uint place = (header >> bit & 63u) - within;
      if (beyond == 63 || place >= 8) continue;
      const uint exponent = highest - 15 - beyond;
      if (place < 4) first = bitfieldInsert(first, exponent, int(8 * place), 8);
      else second = bitfieldInsert(second, exponent, int(8 * place - 32), 8);
    }
  }
  ReadWords magnitudes = ReadWords(block + (36 + within));
  low = bf16sOf(first, magnitudes.at[0]);
  high = bf16sOf(second, magnitudes.at[1]);
}

void bf16PackedEight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  uvec2 first;
  uvec2 second;
  bf16PackedHalves(row, k, first, second);
  low = uintBitsToFloat(uvec4(first << 16, first & 0xffff0000u));
  high = uintBitsToFloat(uvec4(second << 16, second & 0xffff0000u));
}

// As bf16 has them, two neighbours in a word.
uvec2 neighbours(uvec2 halves) {
  return uvec2(halves.x & 0xffffu | halves.y << 16, halves.x >> 16 | halves.y & 0xffff0000u);
}

uvec4 bf16PackedWords(uint64_t row, uint k) {
  uvec2 low;
  uvec2 high;
  bf16PackedHalves(row, k, low, high);
  return uvec4(neighbours(low), neighbours(high));
}
