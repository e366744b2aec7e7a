#include "scales.h"

#include <cstring>

#include "codecs.h"
#include "panel.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

constexpr size_t mostWordPoints = 8;

void decodeE8m0(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t exponent = source[i];
    const uint32_t bits = exponent == 0 ? 0x00400000u : exponent << 23;
    std::memcpy(target + i, &bits, sizeof bits);
  }
}

void decodeScales(ScaleKind kind, const uint8_t* scales, size_t index, size_t count, float* target) {
  switch (kind) {
    case ScaleKind::f32:
      return copyF32(scales + 4 * index, count, target);
    case ScaleKind::bf16:
      return widenBf16(scales + 2 * index, count, target);
    case ScaleKind::f16:
      return widenF16(scales + 2 * index, count, target);
    default:
      return decodeE8m0(scales + index, count, target);
  }
}

/** `count` words of points, from one on: (word, point). */
void decodePoints(const ZeroPoints& points, const uint8_t* zeros, size_t word, size_t count, float* target) {
  if (points.wordPoints == 1) return decodeInt8(zeros + word, count, target);
  for (size_t i = 0; i < count; ++i, target += points.wordPoints) {
    uint32_t stored;
    std::memcpy(&stored, zeros + 4 * (word + i), sizeof stored);
    if (points.isLessOne) stored += points.wordPoints == 8 ? 0x11111111u : 0x01010101u;
    uint8_t bytes[sizeof stored];
    std::memcpy(bytes, &stored, sizeof stored);
    if (points.wordPoints == 4) decodeInt8Packed(bytes, 4, target);
    else if (points.isAwq) decodeInt4Awq(bytes, 8, target);
    else decodeInt4(bytes, 8, target);
  }
}

/** Rows of a grid that is stored transposed are neighbours, if they are the matrix's own. */
bool hasNeighbours(const ProductCall& call) {
  return call.layout->scaleRows == 1 && call.step == 1 && call.paired == 1;
}

size_t gridRowOf(const ProductCall& call, size_t out, size_t lane, size_t numOut) {
  const size_t row = call.step * pairedRow(call.paired, out + (lane < numOut ? lane : numOut - 1));
  return row / call.layout->scaleRows;
}

void readScalesAcross(const ProductCall& call, size_t out, size_t numOut, size_t first, size_t count, float* scales) {
  const size_t stride = call.layout->scaleGroupStride;
  for (size_t g = 0; g < count; ++g)
    decodeScales(call.layout->scaleKind, call.parts.scales, (first + g) * stride + out, numOut, scales + g * lanesOf);
}

void readZerosAcross(const ProductCall& call, size_t out, size_t numOut, size_t first, size_t count, float* zeros) {
  const ZeroPoints& points = call.layout->zeros;
  const size_t each = points.wordPoints;
  const size_t before = out % each;
  float decoded[lanes + mostWordPoints];
  for (size_t g = 0; g < count; ++g) {
    const size_t word = ((first + g) * points.groupStride + out) / each;
    decodePoints(points, call.parts.zeros, word, (before + numOut + each - 1) / each, decoded);
    std::memcpy(zeros + g * lanesOf, decoded + before, numOut * sizeof(float));
  }
}

void readScalesAlong(const ProductCall& call, size_t out, size_t numOut, size_t first, size_t count, size_t groups,
                     float* scales) {
  float ofRow[stretchDepth];
  for (size_t i = 0, before = 0; i < lanesOf; ++i) {
    const size_t row = gridRowOf(call, out, i, numOut);
    if (i == 0 || row != before)
      decodeScales(call.layout->scaleKind, call.parts.scales, row * groups + first, count, ofRow);
    before = row;
    for (size_t g = 0; g < count; ++g) scales[g * lanesOf + i] = ofRow[g];
  }
}

void readZerosAlong(const ProductCall& call, size_t out, size_t numOut, size_t first, size_t count, size_t groups,
                    float* zeros) {
  const size_t each = call.layout->zeros.wordPoints;
  float ofWords[stretchDepth * mostWordPoints];
  for (size_t i = 0, before = 0; i < lanesOf; ++i) {
    const size_t row = gridRowOf(call, out, i, numOut);
    const size_t words = row / each;
    if (i == 0 || words != before)
      decodePoints(call.layout->zeros, call.parts.zeros, words * groups + first, count, ofWords);
    before = words;
    for (size_t g = 0; g < count; ++g) zeros[g * lanesOf + i] = ofWords[g * each + row % each];
  }
}

/** One output after the other, wherever theirs are. */
void readEach(const ProductCall& call, size_t out, size_t numOut, size_t first, size_t count, float* scales, float* zeros) {
  float ofRow[2][stretchDepth] = {};
  for (size_t i = 0; i < lanesOf; ++i) {
    const size_t row = call.step * pairedRow(call.paired, out + (i < numOut ? i : numOut - 1));
    readGroups(*call.layout, call.parts, row, first, count, ofRow[0], ofRow[1]);
    for (size_t g = 0; g < count; ++g) {
      scales[g * lanesOf + i] = ofRow[0][g];
      if (call.parts.zeros != nullptr) zeros[g * lanesOf + i] = ofRow[1][g];
    }
  }
}

}  // namespace

void readScales(const ProductCall& call, size_t out, size_t numOut, size_t first, size_t count, float* scales, float* zeros) {
  const MatrixLayout& layout = *call.layout;
  const bool isTransposed = layout.scaleGroupStride > 0;
  const bool hasZeros = call.parts.zeros != nullptr;
  const bool areZerosTransposed = hasZeros && layout.zeros.groupStride > 0;
  if ((isTransposed || areZerosTransposed) && !hasNeighbours(call)) {
    readEach(call, out, numOut, first, count, scales, zeros);
    return;
  }
  const size_t groups = (call.depth - 1) / layout.scaleColumns + 1;
  if (isTransposed) readScalesAcross(call, out, numOut, first, count, scales);
  else readScalesAlong(call, out, numOut, first, count, groups, scales);
  if (!hasZeros) return;
  if (areZerosTransposed) readZerosAcross(call, out, numOut, first, count, zeros);
  else readZerosAlong(call, out, numOut, first, count, groups, zeros);
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
