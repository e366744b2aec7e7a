// Scales and zero points that lie apart from a matrix's numbers, for some of its outputs side by side.
#pragma once

#include "../product.h"
#include "vec.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

/**
 * Of `count` groups of columns from `first` on: scales(group, lane), and zeros(group, lane), which stay as they are where
 * there are none, of `numOut` <= lanes outputs from `out`, a multiple of `lanes`, on.
 */
void readScales(const ProductCall& call, size_t out, size_t numOut, size_t first, size_t count, float* scales, float* zeros);

}  // namespace specoffload::SPECOFFLOAD_LEVEL
