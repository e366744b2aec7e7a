// Sixteen small numbers at a time, written with compiler vectors so that one source serves every CPU.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace specoffload::SPECOFFLOAD_LEVEL {

constexpr size_t vectorBytes = 16;

typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef int8_t SignedBytes __attribute__((vector_size(16)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef float Floats __attribute__((vector_size(64)));

inline Bytes loadBytes(const uint8_t* source) {
  Bytes bytes;
  std::memcpy(&bytes, source, sizeof bytes);
  return bytes;
}

inline SignedBytes signedOf(Bytes bytes) { return reinterpret_cast<SignedBytes>(bytes); }
inline Bytes lowNibbles(Bytes bytes) { return bytes & 15; }
inline Bytes highNibbles(Bytes bytes) { return bytes >> 4; }

#if defined(__AVX2__) && !defined(__AVX512F__)

// Where a register has eight floats, each half is stored by itself: a vector of sixteen would go through memory.

/** Runs `make(ints)` on either half, and stores what it makes. */
template <typename Make>
inline void storeHalves(float* target, __m128i bytes, Make make) {
  _mm256_storeu_ps(target, make(bytes));
  _mm256_storeu_ps(target + 8, make(_mm_srli_si128(bytes, 8)));
}

/** target = scale * numbers + least. Whether it is rounded once or twice is the same: the products here are exact. */
inline void storeScaled(float* target, SignedBytes numbers, float scale, float least) {
  const __m256 scales = _mm256_set1_ps(scale);
  const __m256 leasts = _mm256_set1_ps(least);
  storeHalves(target, reinterpret_cast<__m128i>(numbers), [&](__m128i bytes) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)) * scales + leasts;
  });
}

inline void storeScaled(float* target, SignedBytes numbers, float scale) {
  const __m256 scales = _mm256_set1_ps(scale);
  storeHalves(target, reinterpret_cast<__m128i>(numbers),
              [&](__m128i bytes) { return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)) * scales; });
}

/** target = scale * table[code], of the lower four bits of each code. */
inline void storeLookedUp(float* target, const float* table, Bytes codes, float scale) {
  const __m256 scales = _mm256_set1_ps(scale);
  const __m256 lower = _mm256_loadu_ps(table) * scales;
  const __m256 upper = _mm256_loadu_ps(table + 8) * scales;
  storeHalves(target, reinterpret_cast<__m128i>(codes), [&](__m128i bytes) {
    const __m256i index = _mm256_cvtepu8_epi32(bytes);
    const __m256 isUpper = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(lower, index), _mm256_permutevar8x32_ps(upper, index), isUpper);
  });
}

#else

inline void storeFloats(float* target, Floats values) { std::memcpy(target, &values, sizeof values); }

inline Floats floatsOf(SignedBytes numbers) {
#if defined(__AVX512F__)
  return reinterpret_cast<Floats>(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(reinterpret_cast<__m128i>(numbers))));
#else
  return __builtin_convertvector(__builtin_convertvector(numbers, Ints), Floats);
#endif
}

/** target = scale * numbers + least. Whether it is rounded once or twice is the same: the products here are exact. */
inline void storeScaled(float* target, SignedBytes numbers, float scale, float least) {
  storeFloats(target, floatsOf(numbers) * scale + least);
}

inline void storeScaled(float* target, SignedBytes numbers, float scale) {
  storeFloats(target, floatsOf(numbers) * scale);
}

/** target = scale * table[code], of the lower four bits of each code. */
inline void storeLookedUp(float* target, const float* table, Bytes codes, float scale) {
#if defined(__AVX512F__)
  const __m512i index = _mm512_cvtepu8_epi32(reinterpret_cast<__m128i>(codes));
  _mm512_storeu_ps(target, _mm512_permutexvar_ps(index, _mm512_loadu_ps(table)) * _mm512_set1_ps(scale));
#else
  for (size_t i = 0; i < vectorBytes; ++i) target[i] = table[codes[i] & 15] * scale;
#endif
}

#endif

/** 16 where a bit is set, of two bytes of them. */
inline Bytes fifthBits(const uint8_t* source) {
  const uint64_t spread[2] = {source[0] * 0x0101010101010101u, source[1] * 0x0101010101010101u};
  Bytes bytes;
  std::memcpy(&bytes, spread, sizeof bytes);
  const Bytes place = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
  return reinterpret_cast<Bytes>((bytes & place) != 0) & 16;
}

/** The nibbles of eight bytes, the lower of each first. */
inline Bytes inTurn(const uint8_t* source) {
#if defined(__SSE2__)
  const Bytes pairs = reinterpret_cast<Bytes>(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(source)));
  return reinterpret_cast<Bytes>(_mm_unpacklo_epi8(reinterpret_cast<__m128i>(lowNibbles(pairs)),
                                                   reinterpret_cast<__m128i>(highNibbles(pairs))));
#else
  Bytes nibbles;
  for (size_t i = 0; i < vectorBytes; ++i) nibbles[i] = (source[i / 2] >> (4 * (i % 2))) & 15;
  return nibbles;
#endif
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
