// Blocks of packed bf16, as `native/src/codecs/bf16-packed.ts` lays them out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace specoffload::SPECOFFLOAD_LEVEL::packed {

constexpr size_t blockElements = 64;
constexpr size_t blockBytes = 100;
constexpr size_t half = blockElements / 2;
constexpr size_t codesAt = 4;
constexpr size_t magnitudesAt = 36;
constexpr uint8_t zeroCode = 15;
constexpr uint32_t noException = 63;
constexpr uint32_t noExceptions = noException << 6 | noException << 18;

/** Calls `put(place, value)` for what codes cannot say. */
template <typename Put>
inline void eachException(const uint8_t* block, Put put) {
  uint32_t exceptions = block[1] | block[2] << 8 | block[3] << 16;
  if ((exceptions & noExceptions) == noExceptions) return;
  for (int which = 0; which < 2; ++which, exceptions >>= 12) {
    const uint32_t beyond = exceptions >> 6 & 63;
    if (beyond == noException) continue;
    const uint32_t at = exceptions & 63;
    const uint8_t magnitude = block[magnitudesAt + at];
    const uint8_t exponent = static_cast<uint8_t>(block[0] - zeroCode - beyond);
    put(at, static_cast<uint16_t>((magnitude & 0x80) << 8 | exponent << 7 | (magnitude & 0x7f)));
  }
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL::packed
