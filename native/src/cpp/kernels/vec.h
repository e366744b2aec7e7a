// The widest vector of floats this build has, written with compiler vectors so that one source serves every CPU.
//
// Sums and products go through `fma` explicitly: whether a compiler contracts `a * b + c` may differ between two
// instances of a template, and then a row's bits would depend on how many rows share its tile.
#pragma once

#include <cstddef>
#include <cstring>
#include <utility>

#if defined(__AVX__)
#include <immintrin.h>
#endif

namespace specoffload::SPECOFFLOAD_LEVEL {

#if defined(__AVX512F__)
constexpr int lanes = 16;
#elif defined(__AVX__)
constexpr int lanes = 8;
#else
constexpr int lanes = 4;
#endif
/** The same among counts. */
constexpr size_t lanesOf = lanes;

typedef float Vec __attribute__((vector_size(lanes * 4)));
typedef int IntVec __attribute__((vector_size(lanes * 4)));

inline Vec load(const float* from) {
  Vec v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

inline void store(float* to, Vec v) { std::memcpy(to, &v, sizeof v); }

/** The first `count` (< lanes) lanes from memory, zeros after them; reads nothing beyond. */
inline Vec loadPart(const float* from, int count) {
#if defined(__AVX512F__)
  return (Vec)_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1u), from);
#else
  Vec v = {};
  for (int i = 0; i < count; ++i) v[i] = from[i];
  return v;
#endif
}

inline void storePart(float* to, Vec v, int count) {
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1u), (__m512)v);
#else
  for (int i = 0; i < count; ++i) to[i] = v[i];
#endif
}

inline Vec splat(float x) { return x - Vec{}; }

/** a * b + c, rounded once where the CPU can. */
inline Vec fma(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
  return (Vec)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX__) && defined(__FMA__)
  return (Vec)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#else
  return a * b + c;
#endif
}

/** Where bit `half` of a lane's number is clear, a's lane plus a's lane `half` further; elsewhere b's, plus `half` before. */
template <int half, int... lane>
inline Vec foldLanes(Vec a, Vec b, std::integer_sequence<int, lane...>) {
#if defined(__has_builtin) && (defined(__clang__) || __GNUC__ >= 12)
  return __builtin_shufflevector(a, b, (lane & half ? lanes + lane : lane)...) +
         __builtin_shufflevector(a, b, (lane & half ? lanes + lane - half : lane + half)...);
#else
  return Vec{(lane & half ? b[lane] : a[lane])...} + Vec{(lane & half ? b[lane & ~half] : a[lane | half])...};
#endif
}

template <int half>
inline void foldVectors(Vec (&vectors)[lanes]) {
#pragma GCC unroll 8
  for (int i = 0; i < half; ++i)
    vectors[i] = foldLanes<half>(vectors[i], vectors[i + half], std::make_integer_sequence<int, lanes>{});
  if constexpr (half > 1) foldVectors<half / 2>(vectors);
}

/** Lane j of the result is the sum of vectors[j]'s lanes, each taken in the same order. Mutates `vectors`. */
inline Vec sumEach(Vec (&vectors)[lanes]) {
  foldVectors<lanes / 2>(vectors);
  return vectors[0];
}

/** The sum of all lanes, in a fixed order. */
inline float sum(Vec v) {
  float parts[lanes];
  store(parts, v);
  for (int count = lanes / 2; count > 0; count /= 2) {
    for (int i = 0; i < count; ++i) parts[i] += parts[i + count];
  }
  return parts[0];
}

inline float max(Vec v) {
  float parts[lanes];
  store(parts, v);
  float largest = parts[0];
  for (int i = 1; i < lanes; ++i) largest = parts[i] > largest ? parts[i] : largest;
  return largest;
}

/**
 * e^x for x <= 0 to 2 units in the last place; below -87, where fp32 goes denormal, exactly 0. NaN stays NaN.
 * Cephes' expf: split off powers of two, then a polynomial on [-ln2 / 2, ln2 / 2].
 */
inline Vec expNonPositive(Vec x) {
  const Vec smallest = splat(-87.0f);
  const IntVec vanishes = x < smallest;
  const Vec clamped = vanishes ? smallest : x;
  const Vec magic = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to a whole number
  const Vec shifted = fma(clamped, splat(1.44269504088896341f), magic);
  const Vec power = shifted - magic;
  Vec r = fma(power, splat(-0.693359375f), clamped);
  r = fma(power, splat(2.12194440e-4f), r);
  Vec p = splat(1.9875691500e-4f);
  p = fma(p, r, splat(1.3981999507e-3f));
  p = fma(p, r, splat(8.3334519073e-3f));
  p = fma(p, r, splat(4.1665795894e-2f));
  p = fma(p, r, splat(1.6666665459e-1f));
  p = fma(p, r, splat(5.0000001201e-1f));
  p = fma(p, r * r, r) + 1.0f;
  IntVec exponent;
  std::memcpy(&exponent, &shifted, sizeof exponent);  // low bits of shifted hold the power
  exponent = (exponent << 23) + (127 << 23);
  Vec scale;
  std::memcpy(&scale, &exponent, sizeof scale);
  return vanishes ? Vec{} : p * scale;
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
