// bf16 in blocks that share their highest exponent; `native/src/codecs/bf16-packed.ts` says how.
#include <cstring>

#include "codecs.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

constexpr size_t blockElements = 64;
constexpr size_t blockBytes = 100;
constexpr size_t half = blockElements / 2;
constexpr size_t codesAt = 4;
constexpr size_t magnitudesAt = 36;
constexpr uint8_t zeroCode = 15;
constexpr uint32_t noException = 63;
constexpr uint32_t noExceptions = noException << 6 | noException << 18;

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
  uint32_t exceptions = block[1] | block[2] << 8 | block[3] << 16;
  if ((exceptions & noExceptions) == noExceptions) return;
  for (int which = 0; which < 2; ++which, exceptions >>= 12) {
    const uint32_t beyond = exceptions >> 6 & 63;
    if (beyond == noException) continue;
    const uint32_t at = exceptions & 63;
    const uint8_t exponent = static_cast<uint8_t>(top - zeroCode - beyond);
    const uint16_t value =
        static_cast<uint16_t>((magnitudes[at] & 0x80) << 8 | exponent << 7 | (magnitudes[at] & 0x7f));
    std::memcpy(target + 2 * at, &value, sizeof value);
  }
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

bool packBf16(const uint8_t* values, size_t count, uint8_t* packed) {
  for (size_t i = 0; i < count; i += blockElements, packed += blockBytes)
    if (!packBlock(values + 2 * i, packed)) return false;
  return true;
}

void unpackBf16(const uint8_t* packed, size_t count, uint8_t* values) {
  for (size_t i = 0; i < count; i += blockElements, packed += blockBytes) unpackBlock(packed, values + 2 * i);
}

void decodeBf16Packed(const uint8_t* source, size_t count, float* target) {
  uint8_t values[2 * blockElements];
  for (size_t i = 0; i < count; i += blockElements, source += blockBytes) {
    unpackBlock(source, values);
    widenBf16(values, blockElements, target + i);
  }
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
