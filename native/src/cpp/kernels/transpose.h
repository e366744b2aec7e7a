// Rows become columns by exchanging halves of ever smaller squares, in registers.
#pragma once

#include <cstring>

#include "vec.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

/** Lanes of a whose number lacks bit `half`, then b's lanes of the same numbers in place of those that have it. */
template <int half, int... lane>
inline IntVec lowerOf(IntVec a, IntVec b, std::integer_sequence<int, lane...>) {
#if defined(__has_builtin) && (defined(__clang__) || __GNUC__ >= 12)
  return __builtin_shufflevector(a, b, (lane & half ? lanes + lane - half : lane)...);
#else
  return IntVec{(lane & half ? b[lane & ~half] : a[lane])...};
#endif
}

/** The lanes that `lowerOf` leaves out. */
template <int half, int... lane>
inline IntVec upperOf(IntVec a, IntVec b, std::integer_sequence<int, lane...>) {
#if defined(__has_builtin) && (defined(__clang__) || __GNUC__ >= 12)
  return __builtin_shufflevector(a, b, (lane & half ? lanes + lane : lane + half)...);
#else
  return IntVec{(lane & half ? b[lane] : a[lane | half])...};
#endif
}

template <int half>
inline void exchange(IntVec (&rows)[lanes]) {
  constexpr auto all = std::make_integer_sequence<int, lanes>{};
#pragma GCC unroll 16
  for (int i = 0; i < lanes; ++i) {
    if ((i & half) != 0) continue;
    const IntVec lower = lowerOf<half>(rows[i], rows[i + half], all);
    rows[i + half] = upperOf<half>(rows[i], rows[i + half], all);
    rows[i] = lower;
  }
  if constexpr (half > 1) exchange<half / 2>(rows);
}

/** Lane j of row i and lane i of row j change places. */
inline void transpose(IntVec (&rows)[lanes]) { exchange<lanes / 2>(rows); }

inline void storeWords(float* target, IntVec words) { std::memcpy(target, &words, sizeof words); }

}  // namespace specoffload::SPECOFFLOAD_LEVEL
