// bf16 as stored: the upper half of an fp32, two in a word, the first in its lower half.
float bf16At(uint64_t row, uint k) {
  const uint64_t at = row + 2ul * k; // words are aligned, rows of an odd length are not
  const uint word = ReadWords(at & ~3ul).at[0];
  return uintBitsToFloat((at & 2ul) != 0ul ? word & 0xffff0000u : word << 16);
}

void bf16Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  const uvec4 words = ReadUvec4s(row + 2ul * k).at[0];
  const uvec4 even = words << 16;
  const uvec4 odd = words & 0xffff0000u;
  low = uintBitsToFloat(uvec4(even.x, odd.x, even.y, odd.y));
  high = uintBitsToFloat(uvec4(even.z, odd.z, even.w, odd.w));
}
