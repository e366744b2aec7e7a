// Weights of any codec become panels.
#include "panel.h"

#include <cstring>

#include "codecs.h"
#include "scales.h"
#include "transpose.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {


/** At most one vector of words; zeros behind the last. */
inline IntVec wordsAt(const uint8_t* source, size_t bytes) {
  IntVec words = {};
  if (bytes >= sizeof words) std::memcpy(&words, source, sizeof words);
  else std::memcpy(&words, source, bytes);
  return words;
}

/** Rows of words, each of which holds `each` neighbouring values, that `spread(word vector, place)` takes out of it. */
template <size_t each, typename Spread>
inline void packWords(const uint8_t* const (&from)[lanes], size_t depth, float* panel, Spread spread) {
  constexpr size_t wordBytes = 4;
  for (size_t k = 0; k < depth; k += each * lanesOf) {
    const size_t count = depth - k < each * lanesOf ? depth - k : each * lanesOf;
    IntVec rows[lanes];
    const size_t bytes = (count * wordBytes + each - 1) / each;
#pragma GCC unroll 16
    for (int i = 0; i < lanes; ++i) rows[i] = wordsAt(from[i] + k * wordBytes / each, bytes);
    transpose(rows);
    float* out = panel + k * panelOuts;
    if (count == each * lanesOf) {
#pragma GCC unroll 16
      for (size_t j = 0; j < lanesOf; ++j)
        for (size_t place = 0; place < each; ++place, out += panelOuts) storeWords(out, spread(rows[j], place));
    } else {
      for (size_t j = 0; j < count; ++j, out += panelOuts) storeWords(out, spread(rows[j / each], j % each));
    }
  }
}

/** Words of some rows, and how each is spread; null where rows are decoded before they are laid side by side. */
using PackRows = void (*)(const uint8_t* const (&from)[lanes], size_t depth, float* panel);

inline IntVec wordsOf(Vec values) { return reinterpret_cast<IntVec>(values); }
inline Vec floatsOf(IntVec numbers) { return __builtin_convertvector(numbers, Vec); }

/** table[code], of the lower four bits of each code. */
inline Vec lookUp(IntVec codes, const float (&table)[16]) {
#if defined(__AVX512F__)
  return (Vec)_mm512_permutexvar_ps((__m512i)codes, _mm512_loadu_ps(table));
#elif defined(__AVX2__)
  const __m256i index = (__m256i)codes;
  return (Vec)_mm256_blendv_ps(_mm256_permutevar8x32_ps(_mm256_loadu_ps(table), index),
                               _mm256_permutevar8x32_ps(_mm256_loadu_ps(table + 8), index),
                               _mm256_castsi256_ps(_mm256_slli_epi32(index, 28)));
#else
  Vec values;
  for (int i = 0; i < lanes; ++i) values[i] = table[codes[i] & 15];
  return values;
#endif
}

constexpr float fours[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};

inline IntVec spreadF32(IntVec words, size_t) { return words; }
inline IntVec spreadBf16(IntVec words, size_t place) {
  return place == 0 ? words << 16 : words & static_cast<int>(0xffff0000u);
}
inline IntVec spreadInt4(IntVec words, size_t place) {
  return wordsOf(lookUp(words >> static_cast<int>(4 * place), fours));
}
inline IntVec spreadFp4(IntVec words, size_t place) {
  return wordsOf(lookUp(words >> static_cast<int>(4 * place), fp4));
}
inline IntVec spreadInt8(IntVec words, size_t place) {
  return wordsOf(floatsOf((words << static_cast<int>(24 - 8 * place)) >> 24));
}
inline IntVec spreadInt8Packed(IntVec words, size_t place) {
  return wordsOf(floatsOf(((words >> static_cast<int>(8 * place)) & 255) - 128));
}

/** E4M3 in fp32: what has no exponent is brought to one, from which the leading one is taken again. */
inline IntVec spreadFp8(IntVec words, size_t place) {
  const IntVec bytes = words >> static_cast<int>(8 * place);
  const IntVec magnitude = bytes & 0x7f;
  const IntVec isDenormal = magnitude < 8;
  const IntVec normal = (magnitude << 20) + ((120 << 23) + (isDenormal & (1 << 23)));
  const Vec least = reinterpret_cast<Vec>(isDenormal & static_cast<int>(121u << 23));
  const IntVec value = wordsOf(reinterpret_cast<Vec>(normal) - least) | ((bytes & 0x80) << 24);
  return magnitude == 0x7f ? IntVec{} + 0x7fc00000 : value;
}

template <size_t each, IntVec (*spread)(IntVec, size_t)>
void packRowsOf(const uint8_t* const (&from)[lanes], size_t depth, float* panel) {
  packWords<each>(from, depth, panel, spread);
}

/** The same words of rows that are stored transposed: those of neighbouring rows are neighbours already. */
template <size_t each, IntVec (*spread)(IntVec, size_t)>
void packAcrossOf(const ProductCall& call, size_t out, size_t numOut, size_t k, size_t depth, float* panel) {
  constexpr size_t wordBytes = 4;
  const uint8_t* from = call.weights + (k / each * call.layout->across + out) * wordBytes;
  for (size_t done = 0; done < depth; done += each, from += call.layout->across * wordBytes) {
    const IntVec words = wordsAt(from, numOut * wordBytes);
#pragma GCC unroll 8
    for (size_t place = 0; place < each; ++place, panel += panelOuts) storeWords(panel, spread(words, place));
  }
}

/** AutoAWQ's words hold a column of eight rows. */
void packAwq(const ProductCall& call, size_t out, size_t numOut, size_t k, size_t depth, float* panel) {
  constexpr size_t wordBytes = 4;
  IntVec shifts = {};
  IntVec isSecond = {};
  for (size_t i = 0; i < lanesOf; ++i) {
    shifts[i] = 4 * awqNibbles[(out + i) % 8];
    isSecond[i] = i < 8 ? 0 : -1;
  }
  for (size_t c = k; c < k + depth; ++c, panel += panelOuts) {
    const uint8_t* const from = call.weights + (c * call.layout->across + out) / 8 * wordBytes;
    int words[2] = {};
    std::memcpy(words, from, numOut > 8 ? 2 * wordBytes : wordBytes);
    const IntVec spread = isSecond ? IntVec{} + words[1] : IntVec{} + words[0];
    storeWords(panel, wordsOf(lookUp(spread >> shifts, fours)));
  }
}

PackRows rowsPacker(const Codec& codec) {
  if (codec.decode == copyF32) return packRowsOf<1, spreadF32>;
  if (codec.decode == widenBf16) return packRowsOf<2, spreadBf16>;
  if (codec.decode == decodeBf16Packed) return packBlocksOfBf16;
  if (codec.decode == decodeInt4) return packRowsOf<8, spreadInt4>;
  if (codec.decode == decodeMxfp4Split) return packRowsOf<8, spreadFp4>;
  if (codec.decode == decodeFp8) return packRowsOf<4, spreadFp8>;
  if (codec.decode == decodeInt8) return packRowsOf<4, spreadInt8>;
  if (codec.decode == decodeInt8Packed) return packRowsOf<4, spreadInt8Packed>;
  return nullptr;
}

void packAcross(const ProductCall& call, size_t out, size_t numOut, size_t k, size_t depth, float* panel) {
  if (call.codec->decode == decodeInt4) packAcrossOf<8, spreadInt4>(call, out, numOut, k, depth, panel);
  else if (call.codec->decode == decodeInt8Packed) packAcrossOf<4, spreadInt8Packed>(call, out, numOut, k, depth, panel);
  else packAwq(call, out, numOut, k, depth, panel);
}

void packAlong(const ProductCall& call, size_t out, size_t numOut, size_t k, size_t depth, float* panel, float* room) {
  const Codec& codec = *call.codec;
  const size_t rowBytes = codec.bytes(call.depth);
  const PackRows pack = rowsPacker(codec);
  const uint8_t* from[lanes];
  for (size_t i = 0; i < lanesOf; ++i) {
    const size_t row = call.step * pairedRow(call.paired, out + (i < numOut ? i : numOut - 1));
    from[i] = call.weights + row * rowBytes + codec.bytes(k);
    if (pack != nullptr) continue;
    float* const decoded = room + i * stretchDepth;
    codec.decode(from[i], depth, decoded);
    from[i] = reinterpret_cast<const uint8_t*>(decoded);
  }
  (pack == nullptr ? packRowsOf<1, spreadF32> : pack)(from, depth, panel);
}

/** Columns of one group: numbers of a panel less their zero points, times their scales. */
inline void scaleColumns(float* panel, size_t count, const float* scale, const float* zero) {
  const Vec scales = load(scale);
  const Vec zeros = load(zero);
  for (size_t c = 0; c < count; ++c, panel += panelOuts) store(panel, (load(panel) - zeros) * scales);
}

size_t groupOf(const ProductCall& call, size_t column) {
  uint32_t group;
  std::memcpy(&group, call.parts.groupOfColumn + 4 * column, sizeof group);
  return group;
}

/** The same where columns belong to any group: all that there are, if they find room, else each as it comes. */
void scaleInOrder(const ProductCall& call, size_t out, size_t numOut, size_t k, size_t depth, float* panel, float* scales,
                  float* zeros) {
  const size_t groups = (call.depth - 1) / call.layout->scaleColumns + 1;
  const bool haveRoom = groups <= stretchDepth;
  std::memset(zeros, 0, (haveRoom ? groups : 1) * sizeof(Vec));
  if (haveRoom) readScales(call, out, numOut, 0, groups, scales, zeros);
  for (size_t c = 0; c < depth; ++c, panel += panelOuts) {
    const size_t group = groupOf(call, k + c);
    if (!haveRoom) readScales(call, out, numOut, group, 1, scales, zeros);
    const size_t at = haveRoom ? group * lanesOf : 0;
    scaleColumns(panel, 1, scales + at, zeros + at);
  }
}

void scalePanel(const ProductCall& call, size_t out, size_t numOut, size_t k, size_t depth, float* panel, float* room) {
  float* const scales = room;
  float* const zeros = room + lanesOf * stretchDepth;
  if (call.parts.groupOfColumn != nullptr) {
    scaleInOrder(call, out, numOut, k, depth, panel, scales, zeros);
    return;
  }
  const size_t columns = call.layout->scaleColumns;
  const size_t first = k / columns;
  const size_t count = (k + depth - 1) / columns - first + 1;
  std::memset(zeros, 0, count * sizeof(Vec));
  readScales(call, out, numOut, first, count, scales, zeros);
  for (size_t group = 0, c = 0; group < count; ++group) {
    const size_t left = columns - (k + c) % columns;
    const size_t number = left < depth - c ? left : depth - c;
    scaleColumns(panel + c * panelOuts, number, scales + group * lanesOf, zeros + group * lanesOf);
    c += number;
  }
}

}  // namespace

void packPanel(const ProductCall& call, size_t firstOut, size_t numOut, size_t k, size_t depth, float* panel, float* room) {
  for (size_t first = 0; first < numOut; first += lanesOf, panel += lanesOf) {
    const size_t out = firstOut + first;
    const size_t count = numOut - first < lanesOf ? numOut - first : lanesOf;
    if (call.layout != nullptr && call.layout->across > 0) packAcross(call, out, count, k, depth, panel);
    else packAlong(call, out, count, k, depth, panel, room);
    if (call.layout != nullptr && call.layout->scaleAt != nullptr) scalePanel(call, out, count, k, depth, panel, room);
  }
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
