// Halves to fp32.
#include <cstring>

#include "codecs.h"
#include "../halves.h"

#if defined(__AVX512F__) || defined(__F16C__)
#include <immintrin.h>
#endif

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

template <uint32_t (*bitsOf)(uint16_t)>
void widenEach(const uint8_t* source, size_t count, float* target) {
  for (size_t i = 0; i < count; ++i) {
    const uint32_t bits = bitsOf(halfAt(source + 2 * i));
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

template <uint32_t (*bitsOf)(uint16_t)>
void widenHalves(const uint8_t* source, size_t count, float* target) {
  size_t done = 0;
#if !defined(SPECOFFLOAD_WIDEN_SCALAR)
  if constexpr (bitsOf == bitsOfBf16) done = widenVectors<vectorOfBf16>(source, count, target);
  else done = widenVectors<vectorOfF16>(source, count, target);
#endif
  widenEach<bitsOf>(source + 2 * done, count - done, target + done);
}

}  // namespace

void widenBf16(const uint8_t* source, size_t count, float* target) { widenHalves<bitsOfBf16>(source, count, target); }

void widenF16(const uint8_t* source, size_t count, float* target) { widenHalves<bitsOfF16>(source, count, target); }

void copyF32(const uint8_t* source, size_t count, float* target) {
  if (count > 0) std::memcpy(target, source, count * sizeof(float));
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
