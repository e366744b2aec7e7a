// f16 as stored, two in a word. unpackHalf2x16 needs no feature of the device.
float f16At(uint64_t row, uint k) {
  const uint64_t at = row + 2ul * k;
  const vec2 pair = unpackHalf2x16(ReadWords(at & ~3ul).at[0]);
  return (at & 2ul) != 0ul ? pair.y : pair.x;
}

void f16Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uvec4 words = ReadUvec4s(row + 2ul * k).at[0];
  low = vec4(unpackHalf2x16(words.x), unpackHalf2x16(words.y));
  high = vec4(unpackHalf2x16(words.z), unpackHalf2x16(words.w));
}
