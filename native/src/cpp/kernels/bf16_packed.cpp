// bf16 in blocks that share their highest exponent; `native/src/codecs/bf16-packed.ts` says how.
#include "bf16_packed.h"

#include <cstring>

#include "codecs.h"
#include "panel.h"
#include "transpose.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace packed {

namespace {

// Numbers of 16 bits that fit a register, or two where a register is small.
#if defined(__AVX512BW__)
constexpr size_t vectorElements = 32;
#else
constexpr size_t vectorElements = 16;
#endif
typedef uint8_t Bytes __attribute__((vector_size(vectorElements)));
typedef uint16_t Halves __attribute__((vector_size(2 * vectorElements)));

inline Bytes loadBytes(const uint8_t* source) {
  Bytes bytes;
  std::memcpy(&bytes, source, sizeof bytes);
  return bytes;
}

/** Stores values of those codes and magnitudes. */
inline void storeValues(uint8_t top, Bytes codes, const uint8_t* magnitudes, uint8_t* target) {
  const Bytes exponents = (top - codes) & reinterpret_cast<Bytes>(codes != zeroCode);
  const Halves signsAndMantissas = __builtin_convertvector(loadBytes(magnitudes), Halves);
  const Halves values = (signsAndMantissas & 0x7f) | ((signsAndMantissas & 0x80) << 8) |
                        (__builtin_convertvector(exponents, Halves) << 7);
  std::memcpy(target, &values, sizeof values);
}

inline void unpackBlock(const uint8_t* block, uint8_t* target) {
  const uint8_t top = block[0];
  const uint8_t* const magnitudes = block + magnitudesAt;
#pragma GCC unroll 2
  for (size_t i = 0; i < half; i += vectorElements) {
    const Bytes pairs = loadBytes(block + codesAt + i);
    storeValues(top, pairs & 15, magnitudes + i, target + 2 * i);
    storeValues(top, pairs >> 4, magnitudes + half + i, target + 2 * (half + i));
  }
  eachException(block, [&](size_t at, uint16_t value) { std::memcpy(target + 2 * at, &value, sizeof value); });
}

// As many values as fit a vector of words, a byte each; and the same register as half as many numbers of 16 bits.
constexpr size_t spanElements = 4 * static_cast<size_t>(lanes);
typedef uint8_t SpanBytes __attribute__((vector_size(spanElements)));
typedef uint16_t SpanHalves __attribute__((vector_size(spanElements)));

inline SpanBytes loadSpan(const uint8_t* source) {
  SpanBytes bytes;
  std::memcpy(&bytes, source, sizeof bytes);
  return bytes;
}

/** Codes of values from `first` on: of all of them where a vector holds as many. */
inline SpanBytes spanOfCodes(const uint8_t* codes, size_t first) {
#if defined(__AVX512F__)
  static_cast<void>(first);
  const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
  const __m512i both = _mm512_inserti64x4(_mm512_castsi256_si512(pairs), _mm256_srli_epi16(pairs, 4), 1);
  return reinterpret_cast<SpanBytes>(both) & 15;
#else
  return first < half ? loadSpan(codes + first) & 15 : loadSpan(codes + first - half) >> 4;
#endif
}

inline SpanHalves choose(uint16_t mask, SpanHalves where, SpanHalves elsewhere) {
  return (where & mask) | (elsewhere & static_cast<uint16_t>(~mask));
}

/** Values of a block from `first` on, as pairs of bf16: word i of `even` holds values 4i and 4i + 2, of `odd` those behind. */
inline void spreadSpan(const uint8_t* block, size_t first, IntVec& even, IntVec& odd) {
  const SpanBytes codes = spanOfCodes(block + codesAt, first);
  const SpanBytes present = (block[0] - codes) & reinterpret_cast<SpanBytes>(codes != zeroCode);
  const SpanHalves exponents = reinterpret_cast<SpanHalves>(present);
  const SpanHalves magnitudes = reinterpret_cast<SpanHalves>(loadSpan(block + magnitudesAt + first));
  even = reinterpret_cast<IntVec>(choose(0x7f80, exponents << 7, choose(0x8000, magnitudes << 8, magnitudes)));
  odd = reinterpret_cast<IntVec>(choose(0x7f80, exponents >> 1, choose(0x8000, magnitudes, magnitudes >> 8)));
}

/** Words of two values each, of all rows, as two columns of the panel that are so far apart. */
inline void storePair(float* panel, IntVec words) {
  storeWords(panel, words << 16);
  storeWords(panel + 2 * panelOuts, words & static_cast<int>(0xffff0000u));
}

/** Loops without branches, which compilers make vectors of; what is rare comes last. */
bool packBlock(const uint8_t* values, uint8_t* block) {
  uint16_t halves[blockElements];
  std::memcpy(halves, values, sizeof halves);
  uint8_t exponents[blockElements];
  uint8_t top = 0;
  for (size_t i = 0; i < blockElements; ++i) {
    exponents[i] = static_cast<uint8_t>(halves[i] >> 7);
    block[magnitudesAt + i] = static_cast<uint8_t>((halves[i] >> 8 & 0x80) | (halves[i] & 0x7f));
    top = exponents[i] > top ? exponents[i] : top;
  }
  uint8_t codes[blockElements];
  uint8_t areFar = 0;
  for (size_t i = 0; i < blockElements; ++i) {
    const uint8_t below = static_cast<uint8_t>(top - exponents[i]);
    const bool isFar = below >= zeroCode && exponents[i] != 0;
    codes[i] = exponents[i] == 0 ? zeroCode : isFar ? 0 : below;
    areFar |= isFar;
  }
  for (size_t i = 0; i < half; ++i) block[codesAt + i] = static_cast<uint8_t>(codes[i] | codes[i + half] << 4);
  uint32_t exceptions = noExceptions;
  for (size_t i = 0, found = 0; areFar && i < blockElements; ++i) {
    const uint32_t below = top - exponents[i];
    if (exponents[i] == 0 || below < zeroCode) continue;
    const uint32_t beyond = below - zeroCode;
    if (found == 2 || beyond >= noException) return false;
    const uint32_t shift = 12 * static_cast<uint32_t>(found++);
    exceptions = (exceptions & ~(0xfffu << shift)) | (static_cast<uint32_t>(i) | beyond << 6) << shift;
  }
  block[0] = top;
  for (size_t i = 0; i < 3; ++i) block[1 + i] = static_cast<uint8_t>(exceptions >> (8 * i));
  return true;
}

}  // namespace

}  // namespace packed

bool packBf16(const uint8_t* values, size_t count, uint8_t* target) {
  using packed::blockBytes, packed::blockElements;
  for (size_t i = 0; i < count; i += blockElements, target += blockBytes)
    if (!packed::packBlock(values + 2 * i, target)) return false;
  return true;
}

void unpackBf16(const uint8_t* source, size_t count, uint8_t* values) {
  using packed::blockBytes, packed::blockElements;
  for (size_t i = 0; i < count; i += blockElements, source += blockBytes) packed::unpackBlock(source, values + 2 * i);
}

void packBlocksOfBf16(const uint8_t* const (&from)[lanes], size_t depth, float* panel) {
  using packed::blockBytes, packed::blockElements, packed::spanElements;
  for (size_t at = 0; at < depth / blockElements * blockBytes; at += blockBytes, panel += blockElements * panelOuts) {
    for (size_t first = 0; first < blockElements; first += spanElements) {
      IntVec even[lanes];
      IntVec odd[lanes];
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i) packed::spreadSpan(from[i] + at, first, even[i], odd[i]);
      transpose(even);
      transpose(odd);
      float* to = panel + first * panelOuts;
#pragma GCC unroll 16
      for (int i = 0; i < lanes; ++i, to += 4 * panelOuts) {
        packed::storePair(to, even[i]);
        packed::storePair(to + panelOuts, odd[i]);
      }
    }
    for (int i = 0; i < lanes; ++i)
      packed::eachException(from[i] + at, [&](size_t k, uint16_t value) {
        const uint32_t bits = static_cast<uint32_t>(value) << 16;
        std::memcpy(panel + k * panelOuts + i, &bits, sizeof bits);
      });
  }
}

void decodeBf16Packed(const uint8_t* source, size_t count, float* target) {
  using packed::blockBytes, packed::blockElements;
  uint8_t values[2 * blockElements];
  for (size_t i = 0; i < count; i += blockElements, source += blockBytes) {
    packed::unpackBlock(source, values);
    widenBf16(values, blockElements, target + i);
  }
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
