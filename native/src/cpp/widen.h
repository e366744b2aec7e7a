// Widening of stored weights to fp32: what crossing the link does to them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace specoffload {

enum class WeightDtype { bf16, f16, f32 };

constexpr size_t bytesPerElement(WeightDtype dtype) { return dtype == WeightDtype::f32 ? 4 : 2; }

/** Widens `count` elements. Sides must not overlap; `source` may be at any byte. NaN stays NaN, made quiet in f16. */
void widen(const uint8_t* source, WeightDtype dtype, size_t count, float* target);

}  // namespace specoffload
