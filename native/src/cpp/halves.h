// The readable meanings of 16-bit floats. Static: files are compiled for different instructions, and each takes its own.
#pragma once

#include <cstdint>
#include <cstring>

namespace specoffload {

static inline uint32_t bitsOfBf16(uint16_t half) { return static_cast<uint32_t>(half) << 16; }

static inline uint32_t bitsOfF16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  uint32_t mantissa = half & 0x3ffu;
  if (exponent == 0x1f) return sign | 0x7f800000u | (mantissa << 13) | (mantissa != 0 ? 0x00400000u : 0u);
  if (exponent != 0) return sign | ((exponent + 112) << 23) | (mantissa << 13);
  if (mantissa == 0) return sign;
  uint32_t shift = 0;  // denormal: normalise
  while ((mantissa & 0x400u) == 0) {
    mantissa <<= 1;
    ++shift;
  }
  return sign | ((113 - shift) << 23) | ((mantissa & 0x3ffu) << 13);
}

static inline float floatOfBits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint16_t halfAt(const uint8_t* source) {
  uint16_t half;
  std::memcpy(&half, source, sizeof half);
  return half;
}

static inline float floatOfF16(const uint8_t* source) { return floatOfBits(bitsOfF16(halfAt(source))); }

}  // namespace specoffload
