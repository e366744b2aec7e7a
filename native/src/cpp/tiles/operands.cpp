// Rows of weights and of x become tiles.
#include "operands.h"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "../kernels/transpose.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

constexpr size_t rowBytes = tileBytes / tileSide;
constexpr size_t valueBytes = 2;

// Packed blocks, see `native/src/codecs/bf16-packed.ts`.
constexpr size_t blockBytes = 100;
constexpr size_t codesAt = 4;
constexpr size_t magnitudesAt = 36;
constexpr uint8_t zeroCode = 15;
constexpr uint32_t noException = 63;
constexpr uint32_t noExceptions = noException << 6 | noException << 18;

/** `where` where a bit of the mask is set, elsewhere `other`. */
inline __m512i choose(__m512i mask, __m512i where, __m512i other) {
  return _mm512_ternarylogic_epi32(mask, where, other, 0xca);
}

/** What codes cannot say. */
__attribute__((noinline)) void putExceptions(const uint8_t* block, uint32_t exceptions, uint8_t* first, uint8_t* second) {
  for (int which = 0; which < 2; ++which, exceptions >>= 12) {
    const uint32_t beyond = exceptions >> 6 & 63;
    if (beyond == noException) continue;
    const uint32_t at = exceptions & 63;
    const uint8_t magnitude = block[magnitudesAt + at];
    const uint8_t exponent = static_cast<uint8_t>(block[0] - zeroCode - beyond);
    const uint16_t value = static_cast<uint16_t>((magnitude & 0x80) << 8 | exponent << 7 | (magnitude & 0x7f));
    std::memcpy(((at & 8) == 0 ? first : second) + valueBytes * (at / 16 * 8 + at % 8), &value, sizeof value);
  }
}

/** A row of 64 values in two tiles. */
inline void layPacked(const uint8_t* block, uint8_t* first, uint8_t* second) {
  const __m512i high = _mm512_set1_epi8(static_cast<char>(0x80));
  const __m512i nibble = _mm512_set1_epi8(zeroCode);
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(block + codesAt));
  const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(pairs), _mm256_srli_epi16(pairs, 4), 1);
  const __m512i codes = _mm512_and_si512(both, nibble);
  const __m512i magnitudes = _mm512_loadu_si512(block + magnitudesAt);
  const __m512i top = _mm512_set1_epi8(static_cast<char>(block[0]));
  const __m512i exponents = _mm512_maskz_sub_epi8(_mm512_cmpneq_epi8_mask(codes, nibble), top, codes);
  const __m512i upper = choose(high, magnitudes, _mm512_srli_epi16(exponents, 1));
  const __m512i lower = choose(high, _mm512_slli_epi16(exponents, 7), magnitudes);
  _mm512_store_si512(first, _mm512_unpacklo_epi8(lower, upper));
  _mm512_store_si512(second, _mm512_unpackhi_epi8(lower, upper));
  uint32_t exceptions;
  std::memcpy(&exceptions, block, sizeof exceptions);
  exceptions >>= 8;
  if ((exceptions & noExceptions) != noExceptions) putExceptions(block, exceptions, first, second);
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

/** Sixteen values of each of sixteen rows, column by column, as pairs of bf16 to the tiles of every part. */
inline void layColumns(IntVec (&columns)[lanes], size_t quarter, uint8_t* tiles) {
  const IntVec upper = IntVec{} + static_cast<int>(0xffff0000u);
#pragma GCC unroll 8
  for (size_t pair = 0; pair < 8; ++pair) {
    IntVec even = columns[2 * pair];
    IntVec odd = columns[2 * pair + 1];
    uint8_t* to = tiles + pair / 4 * numParts * tileBytes + (4 * quarter + pair % 4) * rowBytes;
#pragma GCC unroll 3
    for (size_t part = 0; part < numParts; ++part, to += tileBytes) {
      const IntVec words = (IntVec)choose((__m512i)upper, (__m512i)odd, _mm512_srli_epi32((__m512i)even, 16));
      _mm512_store_si512(to, (__m512i)words);
      even = (IntVec)((Vec)even - (Vec)(even & upper));
      odd = (IntVec)((Vec)odd - (Vec)(odd & upper));
    }
  }
}

}  // namespace

void layWeights(const ProductCall& call, const Stretch& stretch, size_t firstOut, size_t numOut, uint8_t* tiles) {
  const bool isPacked = call.codec->blockElements > 1;
  const size_t outTiles = (numOut + tileSide - 1) / tileSide;
  const size_t storedBytes = call.codec->bytes(call.depth);
  const size_t depth = stretch.end - stretch.first;
  for (size_t o = 0; o < numOut; ++o) {
    const size_t row = call.step * pairedRow(call.paired, firstOut + o);
    const uint8_t* from = call.weights + row * storedBytes + call.codec->bytes(stretch.first);
    uint8_t* to = tiles + o / tileSide * tileBytes + o % tileSide * rowBytes;
    const size_t next = outTiles * tileBytes;
    if (isPacked)
      for (size_t k = 0; k < depth; k += spanDepth, from += blockBytes, to += 2 * next) layPacked(from, to, to + next);
    else
      for (size_t k = 0; k < depth; k += spanDepth, from += spanDepth * valueBytes, to += 2 * next)
        layPlain(from, std::min(spanDepth, depth - k), to, to + next);
  }
}

void layRows(const ProductCall& call, const Stretch& stretch, size_t firstRow, size_t numRows, uint8_t* tiles) {
  constexpr size_t quarter = spanDepth / 4;
  for (size_t k = stretch.first; k < stretch.end; k += spanDepth, tiles += 2 * numParts * tileBytes)
    for (size_t q = 0; q < 4; ++q) {
      const size_t at = k + q * quarter;
      const size_t count = at >= stretch.end ? 0 : std::min(quarter, stretch.end - at);
      const __mmask16 mask = static_cast<__mmask16>((1u << count) - 1u);
      IntVec columns[lanes];
#pragma GCC unroll 16
      for (size_t row = 0; row < tileSide; ++row)
        columns[row] = row < numRows ? (IntVec)_mm512_maskz_loadu_ps(mask, call.x + (firstRow + row) * call.depth + at)
                                     : IntVec{};
      transpose(columns);
      layColumns(columns, q, tiles);
    }
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
