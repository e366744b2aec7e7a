// fp32 as stored.
float f32At(uint64_t row, uint k) { return ReadFloats(floatsFrom(row, k)).at[0]; }

void f32Eight(uint64_t row, uint k, out vec4 low, out vec4 high) {
  ReadVec4s stored = ReadVec4s(floatsFrom(row, k));
  low = stored.at[0];
  high = stored.at[1];
}
