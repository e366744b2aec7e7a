// What all matrix products are handed, and W as numbers: decoded, and scaled where its scales lie apart.
layout(constant_id = 1) const uint weightFormat = 1;
layout(constant_id = 2) const uint vectorFormat = 1;
layout(constant_id = 3) const uint scaleFormat = 0; // of scales that lie apart

layout(push_constant) uniform Push {
  uint64_t weights; // (out, in)
  uint64_t x;       // (row, in)
  uint64_t y;       // (row, out)
  uint64_t bias;    // (out), 0 for none
  uint64_t addend;  // (row, out), 0 for none
  uint64_t scales;  // one for so many rows and columns of W as it is stored
  uint weightRowBytes;
  uint pairedRows; // see `storedRow` in codecs/matrix.ts; 1 where rows lie in order
  uint depth;
  uint width;
  uint rows;
  uint scaleRows;
  uint scaleColumns;
  uint scalesAcross; // from one row of them to the next
} push;

// The nearest bf16, ties to even; what is no number stays none.
uvec4 roundedBits(vec4 values) {
  const uvec4 bits = floatBitsToUint(values);
  const uvec4 rounded = bits + 0x7fffu + (bits >> 16 & 1u) & 0xffff0000u;
  return mix(rounded, bits, greaterThan(bits & 0x7fffffffu, uvec4(0x7f800000u)));
}

vec4 roundedToBf16(vec4 values) { return uintBitsToFloat(roundedBits(values)); }

struct WeightRow {
  uint64_t at;
  uint firstScale;
};

WeightRow weightRow(uint output_) {
  const uint row = storedRow(output_, push.pairedRows);
  return WeightRow(push.weights + uint64_t(push.weightRowBytes) * row,
                   scaleFormat == 0 ? 0 : row / push.scaleRows * push.scalesAcross);
}

float scaleOf(WeightRow row, uint k) {
  return scaleAt(scaleFormat, push.scales, row.firstScale + k / push.scaleColumns);
}

// Eight of a row from a multiple of eight on, which share a scale.
void weightEight(WeightRow row, uint k, out vec4 low, out vec4 high) {
  eightAt(weightFormat, row.at, k, low, high);
  if (scaleFormat == 0) return;
  const float scale = scaleOf(row, k);
  low *= scale;
  high *= scale;
}

float weightAt(WeightRow row, uint k) {
  const float value = valueAt(weightFormat, row.at, k);
  return scaleFormat == 0 ? value : value * scaleOf(row, k);
}
