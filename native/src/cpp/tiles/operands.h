// What tiles are loaded from: weights as bf16, and x as three bf16 whose sum it is.
//
// Values of a row come in an order that costs packed weights nothing: of each 64, a first tile has those whose number lacks
// bit 3, a second the others. Sums over a row do not mind, as both sides keep to it.
#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../kernels/bf16_packed.h"
#include "../kernels/vec.h"
#include "../product.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

constexpr size_t tileBytes = 1024;
/** Outputs of a tile of weights, rows of a tile of x. */
constexpr size_t tileSide = 16;
constexpr size_t tileFloats = tileSide * tileSide;
constexpr size_t tileRowBytes = tileBytes / tileSide;
/** Values of a row in two tiles. */
constexpr size_t spanDepth = 64;
/** bf16 that one value of x is the sum of. */
constexpr size_t numParts = 3;
/** Tiles of a span of x. */
constexpr size_t spanBytesOfX = 2 * numParts * tileBytes;
/** Output tiles of a group: what is multiplied with the same tiles of x, one behind the other. */
constexpr size_t mostOutTiles = 4;
constexpr size_t mostOuts = mostOutTiles * tileSide;

/** Values of a weight row before sums leave their tiles. */
constexpr size_t stretchDepth = 4096;

/** Some values of every row. */
struct Stretch {
  size_t first;
  size_t end;
  size_t depth() const { return end - first; }
  size_t spans() const { return (depth() + spanDepth - 1) / spanDepth; }
};

constexpr size_t tilesFor(size_t count) { return (count + tileSide - 1) / tileSide; }

/** Stored weights of a product that tiles can be laid from: bf16, plain or packed, row behind row. */
struct StoredRows {
  const uint8_t* weights;
  size_t paired;
  size_t step;
  size_t rowBytes;
  bool isPacked;

  const uint8_t* row(size_t out) const { return weights + step * pairedRow(paired, out) * rowBytes; }
};

bool isOfBf16(const Codec& codec);
StoredRows storedRowsOf(const ProductCall& call);

/** Exceptions of a block: what codes cannot say. */
void putExceptions(const uint8_t* block, uint8_t* first, uint8_t* second);

/** `where` where a bit of the mask is set, elsewhere `other`. */
inline __m512i choose(__m512i mask, __m512i where, __m512i other) {
  return _mm512_ternarylogic_epi32(mask, where, other, 0xca);
}

/** A row's packed block in two tiles. */
inline void layPacked(const uint8_t* block, uint8_t* first, uint8_t* second) {
  const __m512i high = _mm512_set1_epi8(static_cast<char>(0x80));
  const __m512i zeroCode = _mm512_set1_epi8(packed::zeroCode);
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + packed::codesAt));
  const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(pairs), _mm256_srli_epi16(pairs, 4), 1);
  const __m512i codes = _mm512_and_si512(both, zeroCode);
  const __m512i magnitudes = _mm512_loadu_si512(block + packed::magnitudesAt);
  const __m512i top = _mm512_set1_epi8(static_cast<char>(block[0]));
  const __m512i exponents = _mm512_maskz_sub_epi8(_mm512_cmpneq_epi8_mask(codes, zeroCode), top, codes);
  const __m512i upper = choose(high, magnitudes, _mm512_srli_epi16(exponents, 1));
  const __m512i lower = choose(high, _mm512_slli_epi16(exponents, 7), magnitudes);
  _mm512_store_si512(first, _mm512_unpacklo_epi8(lower, upper));
  _mm512_store_si512(second, _mm512_unpackhi_epi8(lower, upper));
  uint32_t exceptions;
  std::memcpy(&exceptions, block, sizeof exceptions);
  exceptions >>= 8;
  if (__builtin_expect((exceptions & packed::noExceptions) != packed::noExceptions, 0)) putExceptions(block, first, second);
}

/** The same of values that lie plainly; zeros behind the last. */
inline void layPlain(const uint8_t* values, size_t count, uint8_t* first, uint8_t* second) {
  const auto maskOf = [](size_t number) {
    return static_cast<__mmask32>(number >= 32 ? 0xffffffffu : (1u << number) - 1u);
  };
  const __m512i a = _mm512_maskz_loadu_epi16(maskOf(count), values);
  const __m512i b = count > 32 ? _mm512_maskz_loadu_epi16(maskOf(count - 32), values + 64) : _mm512_setzero_si512();
  _mm512_store_si512(first, _mm512_shuffle_i32x4(a, b, 0x88));
  _mm512_store_si512(second, _mm512_shuffle_i32x4(a, b, 0xdd));
}

/** Rows of a group's outputs, laid in tiles (step, output tile) span by span, just before they are multiplied. */
class GroupRows {
public:
  GroupRows(const StoredRows& stored, const Stretch& stretch, size_t firstOut, size_t numOut, uint8_t* tiles)
      : tiles(tiles), outTiles(tilesFor(numOut)), spans(stretch.spans()), numOut_(numOut), depth_(stretch.depth()),
        isPacked_(stored.isPacked), nextGroup_(numOut * stored.step * stored.rowBytes) {
    const size_t offset = isPacked_ ? stretch.first / spanDepth * packed::blockBytes : 2 * stretch.first;
    for (size_t o = 0; o < numOut; ++o) rows_[o] = stored.row(firstOut + o) + offset;
  }

  /** Of some outputs. What comes some spans later, or in the next group, is fetched meanwhile. */
  inline __attribute__((always_inline)) void lay(size_t span, size_t first, size_t end) const {
    uint8_t* const to = tiles + 2 * span * outTiles * tileBytes;
    const size_t spanBytes = isPacked_ ? packed::blockBytes : 2 * spanDepth;
    const size_t later = span + spansAhead;
    const size_t ahead = later < spans ? later * spanBytes : nextGroup_ + (later - spans) * spanBytes;
    for (size_t o = first; o < std::min(end, numOut_); ++o) {
      uint8_t* const at = to + o / tileSide * tileBytes + o % tileSide * tileRowBytes;
      const char* const next = reinterpret_cast<const char*>(rows_[o] + ahead);
      _mm_prefetch(next, _MM_HINT_T0);
      _mm_prefetch(next + 64, _MM_HINT_T0);
      if (isPacked_) layPacked(rows_[o] + span * packed::blockBytes, at, at + outTiles * tileBytes);
      else layPlain(rows_[o] + span * 2 * spanDepth, depth_ - span * spanDepth, at, at + outTiles * tileBytes);
    }
  }

  uint8_t* const tiles;
  const size_t outTiles;
  const size_t spans;

private:
  static constexpr size_t spansAhead = 4;
  const size_t numOut_;
  const size_t depth_;
  const bool isPacked_;
  const size_t nextGroup_;
  const uint8_t* rows_[mostOuts];
};

/** Sixteen values of each of sixteen rows, a vector for each value, as pairs of bf16 to the tiles of a span: a quarter of it. */
inline void layColumns(const IntVec (&columns)[lanes], size_t quarter, uint8_t* span) {
  const IntVec upper = IntVec{} + static_cast<int>(0xffff0000u);
#pragma GCC unroll 8
  for (size_t pair = 0; pair < 8; ++pair) {
    IntVec even = columns[2 * pair];
    IntVec odd = columns[2 * pair + 1];
    uint8_t* to = span + pair / 4 * numParts * tileBytes + (4 * quarter + pair % 4) * tileRowBytes;
#pragma GCC unroll 3
    for (size_t part = 0; part < numParts; ++part, to += tileBytes) {
      _mm512_store_si512(to, choose((__m512i)upper, (__m512i)odd, _mm512_srli_epi32((__m512i)even, 16)));
      even = (IntVec)((Vec)even - (Vec)(even & upper));
      odd = (IntVec)((Vec)odd - (Vec)(odd & upper));
    }
  }
}

/** Tiles (step, part) of up to sixteen rows of x, each of `depth` values; zeros where there are fewer. */
void layRows(const float* x, size_t depth, size_t numRows, const Stretch& stretch, uint8_t* tiles);

}  // namespace specoffload::SPECOFFLOAD_LEVEL
