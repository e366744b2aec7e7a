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
  uint64_t zeros;   // one for each scale, as wide as W's, of neighbouring rows in a word; 0 for none
  uint64_t groups;  // which group each column belongs to; 0 where groups are of neighbours
  uint weightRowBytes;
  uint pairedRows; // see `storedRow` in codecs/matrix.ts; 1 where rows lie in order
  uint depth;
  uint width;
  uint rows;
  uint scaleRows;
  uint scaleColumns;
  uint scalesAcross; // from one row of them to the next, and from one group of columns
  uint scaleStride;
  uint zerosAcross; // the same of zero points, in words (of int8: in bytes)
  uint zeroStride;
  uint zeroOnes; // what their words are less
  uint blockBytes; // of words of neighbours: from one of a row to the next
} push;

// The nearest bf16, ties to even; what is no number stays none.
uvec4 roundedBits(vec4 values) {
  const uvec4 bits = floatBitsToUint(values);
  const uvec4 rounded = bits + 0x7fffu + (bits >> 16 & 1u) & 0xffff0000u;
  return mix(rounded, bits, greaterThan(bits & 0x7fffffffu, uvec4(0x7f800000u)));
}

vec4 roundedToBf16(vec4 values) { return uintBitsToFloat(roundedBits(values)); }

// Numbers of `weightFormats` in kernels.ts, of which several are in a word.
const uint int4 = 13;
const uint int8 = 15;
const uint int8Packed = 16;
const uint int4Awq = 17;

struct WeightRow {
  uint64_t at;
  uint firstScale;
  uint row;
};

WeightRow weightRow(uint output_) {
  const uint row = storedRow(output_, push.pairedRows);
  const uint place = weightFormat == int4Awq ? row / 8 : row; // its words are of eight rows
  return WeightRow(push.weights + uint64_t(push.weightRowBytes) * place,
                   scaleFormat == 0 ? 0 : row / push.scaleRows * push.scalesAcross, row);
}

// In a word of AutoAWQ: where the value of a row is.
uint awqShift(uint row) { return 4 * ((row & 1) * 4 + (row % 8) / 2); }

// The last group at most: whoever made the numbers, nothing beyond the scales is read.
uint groupOf(uint k) {
  if (push.groups == 0ul) return k / push.scaleColumns;
  return min(wordAt(push.groups + 4ul * k), (push.depth - 1) / push.scaleColumns);
}

float scaleOf(WeightRow row, uint group) {
  return scaleAt(scaleFormat, push.scales, row.firstScale + group * push.scaleStride);
}

// As weights are: less 8, or 128.
float zeroOf(WeightRow row, uint group) {
  if (push.zeros == 0ul) return 0.0;
  const uint inWord = weightFormat == int8 ? 1 : weightFormat == int8Packed ? 4 : 8;
  const uint place = row.row / inWord * push.zerosAcross + group * push.zeroStride;
  if (weightFormat == int8) return float(int(byteAt(push.zeros + place) << 24) >> 24);
  const uint word = wordAt(push.zeros + 4ul * place) + push.zeroOnes;
  if (weightFormat == int8Packed) return float(word >> 8 * (row.row % 4) & 255u) - 128.0;
  return float(word >> (weightFormat == int4Awq ? awqShift(row.row) : 4 * (row.row % 8)) & 15u) - 8.0;
}

uint blockAt(WeightRow row, uint block) { return wordAt(row.at + uint64_t(push.blockBytes) * block); }

float awqAt(WeightRow row, uint k) { return float(blockAt(row, k) >> awqShift(row.row) & 15u) - 8.0; }

// Without zero points and scales.
void storedEight(WeightRow row, uint k, out vec4 low, out vec4 high) {
  switch (weightFormat) {
    case int4: int4Eight(row.at + uint64_t(push.blockBytes) * (k / 8), 0, low, high); break;
    case int8Packed:
      low = bytesOf(blockAt(row, k / 4)) - 128.0;
      high = bytesOf(blockAt(row, k / 4 + 1)) - 128.0;
      break;
    case int4Awq:
      low = vec4(awqAt(row, k), awqAt(row, k + 1), awqAt(row, k + 2), awqAt(row, k + 3));
      high = vec4(awqAt(row, k + 4), awqAt(row, k + 5), awqAt(row, k + 6), awqAt(row, k + 7));
      break;
    default: eightAt(weightFormat, row.at, k, low, high);
  }
}

float storedAt(WeightRow row, uint k) {
  switch (weightFormat) {
    case int4: return float(blockAt(row, k / 8) >> 4 * (k % 8) & 15u) - 8.0;
    case int8Packed: return float(blockAt(row, k / 4) >> 8 * (k % 4) & 255u) - 128.0;
    case int4Awq: return awqAt(row, k);
    default: return valueAt(weightFormat, row.at, k);
  }
}

float scaled(WeightRow row, uint k, float value) {
  const uint group = groupOf(k);
  return (value - zeroOf(row, group)) * scaleOf(row, group);
}

// Eight of a row from a multiple of eight on, which share a scale, unless each column says which group it is of.
void weightEight(WeightRow row, uint k, out vec4 low, out vec4 high) {
  storedEight(row, k, low, high);
  if (scaleFormat == 0) return;
  if (push.groups != 0ul) {
    [[unroll]] for (uint j = 0; j < 4; ++j) {
      low[j] = scaled(row, k + j, low[j]);
      high[j] = scaled(row, k + 4 + j, high[j]);
    }
    return;
  }
  const uint group = k / push.scaleColumns;
  const float zero = zeroOf(row, group);
  const float scale = scaleOf(row, group);
  low = (low - zero) * scale;
  high = (high - zero) * scale;
}

float weightAt(WeightRow row, uint k) {
  const float value = storedAt(row, k);
  return scaleFormat == 0 ? value : scaled(row, k, value);
}
