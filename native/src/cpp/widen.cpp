#include "widen.h"

#include <cstring>

#if defined(__AVX512F__) || defined(__F16C__)
#include <immintrin.h>
#endif

namespace specoffload {

namespace {

// The readable versions; they also finish what the vectors leave over.

uint32_t bitsOfBf16(uint16_t half) { return static_cast<uint32_t>(half) << 16; }

uint32_t bitsOfF16(uint16_t half) {
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

template <uint32_t (*bitsOf)(uint16_t)>
void widenEach(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; ++i) {
    uint16_t half;
    std::memcpy(&half, source + 2 * i, sizeof half);
    const uint32_t bits = bitsOf(half);
    std::memcpy(target + i, &bits, sizeof bits);
  }
}

#if defined(__AVX512F__)

constexpr size_t vectorElements = 16;

__m512 vectorOfBf16(__m256i halves) {
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
__m512 vectorOfF16(__m256i halves) { return _mm512_cvtph_ps(halves); }

template <__m512 (*vectorOf)(__m256i)>
size_t widenVectors(const uint8_t* source, size_t count, float* target) {
  size_t i = 0;
  for (; i + vectorElements <= count; i += vectorElements) {
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(source + 2 * i));
    _mm512_storeu_ps(target + i, vectorOf(halves));
  }
  return i;
}

#elif defined(__AVX2__) && defined(__F16C__)

constexpr size_t vectorElements = 8;

__m256 vectorOfBf16(__m128i halves) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
__m256 vectorOfF16(__m128i halves) { return _mm256_cvtph_ps(halves); }

template <__m256 (*vectorOf)(__m128i)>
size_t widenVectors(const uint8_t* source, size_t count, float* target) {
  size_t i = 0;
  for (; i + vectorElements <= count; i += vectorElements) {
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(source + 2 * i));
    _mm256_storeu_ps(target + i, vectorOf(halves));
  }
  return i;
}

#else

#define SPECOFFLOAD_WIDEN_SCALAR

#endif

}  // namespace

void widen(const uint8_t* source, WeightDtype dtype, size_t count, float* target) {
  if (count == 0) return;
  if (dtype == WeightDtype::f32) {
    std::memcpy(target, source, count * sizeof(float));
    return;
  }
  size_t done = 0;
#if !defined(SPECOFFLOAD_WIDEN_SCALAR)
  done = dtype == WeightDtype::bf16 ? widenVectors<vectorOfBf16>(source, count, target)
                                    : widenVectors<vectorOfF16>(source, count, target);
#endif
  if (dtype == WeightDtype::bf16) widenEach<bitsOfBf16>(source + 2 * done, count - done, target + done);
  else widenEach<bitsOfF16>(source + 2 * done, count - done, target + done);
}

}  // namespace specoffload
