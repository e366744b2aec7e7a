// bf16 in blocks that share their highest exponent; `native/src/codecs/bf16-packed.ts` says how.
#include <cstring>

#include "codecs.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

constexpr size_t blockElements = 64;
constexpr size_t blockBytes = 100;
constexpr size_t half = blockElements / 2;

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
  const Bytes exponents = (top - codes) & reinterpret_cast<Bytes>(codes != 15);
  const Halves signsAndMantissas = __builtin_convertvector(loadBytes(magnitudes), Halves);
  const Halves values = (signsAndMantissas & 0x7f) | ((signsAndMantissas & 0x80) << 8) |
                        (__builtin_convertvector(exponents, Halves) << 7);
  std::memcpy(target, &values, sizeof values);
}

inline void unpackBlock(const uint8_t* block, uint8_t* target) {
  const uint8_t top = block[0];
  const uint8_t* const magnitudes = block + 36;
#pragma GCC unroll 2
  for (size_t i = 0; i < half; i += vectorElements) {
    const Bytes pairs = loadBytes(block + 4 + i);
    storeValues(top, pairs & 15, magnitudes + i, target + 2 * i);
    storeValues(top, pairs >> 4, magnitudes + half + i, target + 2 * (half + i));
  }
  uint32_t exceptions = block[1] | block[2] << 8 | block[3] << 16;
  constexpr uint32_t none = 0xfc0fc0;
  if ((exceptions & none) == none) return;
  for (int which = 0; which < 2; ++which, exceptions >>= 12) {
    const uint32_t beyond = exceptions >> 6 & 63;
    if (beyond == 63) continue;
    const uint32_t at = exceptions & 63;
    const uint8_t exponent = static_cast<uint8_t>(top - 15 - beyond);
    const uint16_t value =
        static_cast<uint16_t>((magnitudes[at] & 0x80) << 8 | exponent << 7 | (magnitudes[at] & 0x7f));
    std::memcpy(target + 2 * at, &value, sizeof value);
  }
}

}  // namespace

void unpackBf16(const uint8_t* source, size_t count, uint8_t* target) {
  for (size_t i = 0; i < count; i += blockElements, source += blockBytes) unpackBlock(source, target + 2 * i);
}

void decodeBf16Packed(const uint8_t* source, size_t count, float* target) {
  uint8_t values[2 * blockElements];
  for (size_t i = 0; i < count; i += blockElements, source += blockBytes) {
    unpackBlock(source, values);
    widenBf16(values, blockElements, target + i);
  }
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
