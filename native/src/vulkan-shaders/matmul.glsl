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
  uint64_t zeros;   // four bits for each scale, of eight neighbouring rows in a word; 0 for none
  uint weightRowBytes;
  uint pairedRows; // see `storedRow` in codecs/matrix.ts; 1 where rows lie in order
  uint depth;
  uint width;
  uint rows;
  uint scaleRows;
  uint scaleColumns;
  uint scalesAcross; // from one row of them to the next, and from one group of columns
  uint scaleStride;
  uint zerosAcross; // the same of zero points, in words
  uint zeroStride;
  uint zeroOnes; // what their words are less
  uint eightBytes; // of four bits: from eight columns to the next eight
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
  uint row;
};

WeightRow weightRow(uint output_) {
  const uint row = storedRow(output_, push.pairedRows);
  return WeightRow(push.weights + uint64_t(push.weightRowBytes) * row,
                   scaleFormat == 0 ? 0 : row / push.scaleRows * push.scalesAcross, row);
}

float scaleOf(WeightRow row, uint k) {
  return scaleAt(scaleFormat, push.scales, row.firstScale + k / push.scaleColumns * push.scaleStride);
}

// As weights of four bits are: less 8.
float zeroOf(WeightRow row, uint k) {
  if (push.zeros == 0ul) return 0.0;
  const uint place = row.row / 8 * push.zerosAcross + k / push.scaleColumns * push.zeroStride;
  const uint word = wordAt(push.zeros + 4ul * place) + push.zeroOnes;
  return float(word >> 4 * (row.row % 8) & 15u) - 8.0;
}

void storedEight(WeightRow row, uint k, out vec4 low, out vec4 high) {
  if (weightFormat != 13) {
    eightAt(weightFormat, row.at, k, low, high);
    return;
  }
  int4Eight(row.at + uint64_t(push.eightBytes) * (k / 8), 0, low, high);
  const float zero = zeroOf(row, k);
  low -= zero;
  high -= zero;
}

// Eight of a row from a multiple of eight on, which share a scale.
void weightEight(WeightRow row, uint k, out vec4 low, out vec4 high) {
  storedEight(row, k, low, high);
  if (scaleFormat == 0) return;
  const float scale = scaleOf(row, k);
  low *= scale;
  high *= scale;
}

float weightAt(WeightRow row, uint k) {
  float value;
  if (weightFormat == 13) {
    // The eight may be of several groups: the zero point is that of k.
    vec4 low;
    vec4 high;
    int4Eight(row.at + uint64_t(push.eightBytes) * (k / 8), 0, low, high);
    value = ((k & 4) == 0 ? low[k & 3] : high[k & 3]) - zeroOf(row, k);
  } else {
    value = valueAt(weightFormat, row.at, k);
  }
  return scaleFormat == 0 ? value : value * scaleOf(row, k);
}
