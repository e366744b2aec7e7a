// Weights as stored, decoded where they are used: eight of a row from a multiple of eight on, and single values. A
// format is a function in a file of weights/. A pipeline is made for one format, so that the others cost nothing;
// numbers are those of `weightFormats` in kernels.ts.
#include "weights/f32.glsl"
#include "weights/bf16.glsl"
#include "weights/f16.glsl"
#include "weights/blocks.glsl"
#include "weights/small-blocks.glsl"
#include "weights/k-blocks.glsl"
#include "weights/mxfp4.glsl"
#include "weights/scaled.glsl"
#include "weights/bf16_packed.glsl"

// Of formats without blocks, rows begin at multiples of 16 bytes.
void eightAt(uint format, uint64_t row, uint k, out vec4 low, out vec4 high) {
  switch (format) {
    case 1: bf16Eight(row, k, low, high); break;
    case 2: f16Eight(row, k, low, high); break;
    case 3: q8_0Eight(row, k, low, high); break;
    case 4: q4_0Eight(row, k, low, high); break;
    case 5: q4_1Eight(row, k, low, high); break;
    case 6: q5_0Eight(row, k, low, high); break;
    case 7: q5_1Eight(row, k, low, high); break;
    case 8: q4_kEight(row, k, low, high); break;
    case 9: q5_kEight(row, k, low, high); break;
    case 10: q6_kEight(row, k, low, high); break;
    case 11: mxfp4Eight(row, k, low, high); break;
    case 12: fp8Eight(row, k, low, high); break;
    case 13: int4Eight(row, k, low, high); break;
    case 14: mxfp4SplitEight(row, k, low, high); break;
    case 15: int8Eight(row, k, low, high); break;
    case 16: int8PackedEight(row, k, low, high); break;
    case 18: bf16PackedEight(row, k, low, high); break;
    default: f32Eight(row, k, low, high);
  }
}

float valueAt(uint format, uint64_t row, uint k) {
  switch (format) {
    case 0: return f32At(row, k);
    case 1: return bf16At(row, k);
    case 2: return f16At(row, k);
    case 12: return fp8At(row, k);
    case 15: return float(int(byteAt(row + k) << 24) >> 24);
    case 16: return float(byteAt(row + k)) - 128.0;
  }
  vec4 low;
  vec4 high;
  eightAt(format, row, k & ~7u, low, high);
  return (k & 4) == 0 ? low[k & 3] : high[k & 3];
}

// The row that lies in place of a row: see codecs/matrix.ts.
uint storedRow(uint row, uint pairedRows) {
  if (pairedRows == 1) return row;
  const uint within = row % pairedRows;
  const uint halfRows = pairedRows / 2;
  return row - within + 2 * (within % halfRows) + within / halfRows;
}
