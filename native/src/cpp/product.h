// What is asked of matrix products with weights as they are stored, and of what goes between them.
#pragma once

#include <cstddef>

#include "widen.h"

namespace specoffload {

/** y = x · weightsᵀ (+ bias) (+ addend). */
struct ProductCall {
  const Codec* codec;
  const uint8_t* weights;  // (width, depth), as stored, at any byte
  size_t paired;           // in which order their rows lie, as in MatrixLayout
  size_t step;             // and how many rows apart, others' between them
  const float* x;          // (row, depth)
  float* y;                // (row, width)
  size_t rows;
  size_t depth;  // whole blocks of the codec
  size_t width;
  const float* bias;    // (width) or null
  const float* addend;  // (row, width) or null; may not be y
  int threads;
  /** Where values do not simply lie row behind row in blocks with their scales; null elsewhere. */
  const MatrixLayout* layout = nullptr;
  MatrixParts parts{};
};

/** What a gated FFN makes of gate and up; the names are those of `Activation` in the engine. */
enum class Gating { silu, geluTanh, clampedSwiglu };

/** down.y = activate(x · gateᵀ, x · upᵀ) · downᵀ; of gate and up x, rows and depth are the same, and y is nobody's. */
struct FeedForwardCall {
  Gating gating;
  float limit;
  float alpha;
  ProductCall gate;
  ProductCall up;
  ProductCall down;
};

}  // namespace specoffload
