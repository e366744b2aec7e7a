// bf16 in blocks of 64 that share their highest exponent, in 100 bytes each: see codecs/bf16-packed.ts. Blocks begin at
// multiples of four. Four values are unpacked at once, a byte of a word each.
const uint packedTops = 0x80808080u; // of each byte the highest bit

// Codes below the highest exponent, modulo 256; of code 15 it is 0.
uint exponentsOf(uint highest, uint codes) {
  const uint all = highest * 0x01010101u;
  const uint below = (all | packedTops) - codes ^ ~all & packedTops; // no byte borrows of its neighbour
  const uint areZero = codes + 0x01010101u >> 4 & 0x01010101u;
  return below & ~(areZero * 255);
}

vec4 unpacked(uint exponents, uint magnitudes) {
  const uint upper = magnitudes & packedTops | exponents >> 1 & ~packedTops;
  const uint lower = exponents << 7 & packedTops | magnitudes & ~packedTops;
  const uvec4 uppers = uvec4(upper << 24, upper << 16, upper << 8, upper) & 0xff000000u;
  return uintBitsToFloat(uppers | uvec4(lower << 16, lower << 8, lower, lower >> 8) & 0x00ff0000u);
}

void bf16PackedEight(uint64_t row, uint k, out vec4 low, out vec4 high) {
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
  low = unpacked(first, magnitudes.at[0]);
  high = unpacked(second, magnitudes.at[1]);
}
