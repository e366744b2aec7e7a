// What a gated FFN makes of gate and up, vector by vector.
#pragma once

#include "../product.h"
#include "vec.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

/** 1 / (1 + e^-x), by the exponential of what is not positive: nothing overflows. */
inline Vec sigmoid(Vec x) {
  const IntVec isNegative = x < Vec{};
  const Vec e = expNonPositive(isNegative ? x : -x);
  return (isNegative ? e : splat(1.0f)) / (e + 1.0f);
}

/** Keeps NaN. */
inline Vec atMost(Vec x, float limit) {
  const IntVec isAbove = x > splat(limit);
  return isAbove ? splat(limit) : x;
}

inline Vec gate(Gating gating, Vec g, Vec u, float limit, float alpha) {
  switch (gating) {
    case Gating::silu:
      return g * sigmoid(g) * u;
    case Gating::geluTanh: {
      // 0.5 (1 + tanh(z)) is sigmoid(2 z)
      const float twiceRoot = 1.5957691216057308f;  // 2 sqrt(2 / pi)
      return g * sigmoid(twiceRoot * (g + 0.044715f * g * g * g)) * u;
    }
    default: {
      const Vec clamped = atMost(g, limit);
      const Vec bounded = -atMost(-atMost(u, limit), limit);
      return clamped * sigmoid(alpha * clamped) * (bounded + 1.0f);
    }
  }
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
