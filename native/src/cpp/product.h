// Matrix products with weights as they are stored, and what goes between them, in fp32.
#pragma once

#include <cstddef>

#include "widen.h"
#include "workers.h"

namespace specoffload {

/** y = x · weightsᵀ (+ bias) (+ addend). */
struct ProductCall {
  const Codec* codec;
  const uint8_t* weights;  // (width, depth), as stored, at any byte
  size_t paired;           // in which order their rows lie, as in MatrixLayout
  const float* x;          // (row, depth)
  float* y;                // (row, width)
  size_t rows;
  size_t depth;  // whole blocks of the codec
  size_t width;
  const float* bias;    // (width) or null
  const float* addend;  // (row, width) or null; may not be y
  int threads;
};

/**
 * Trusts its arguments. Weights are decoded piece by piece, exactly, into memory that stays in the cache; products and sums
 * are fp32. A row's bits depend neither on other rows nor on `threads`: every sum is taken in the same order.
 */
void multiply(const ProductCall& call, Workers& workers);

/** y = x / sqrt(mean(x²) + eps) * (offset + weight) (+ addend), over stretches of `width`. y may be x. */
void normalise(const float* x, const float* weight, const float* addend, float* y, size_t rows, size_t width, float eps,
               float offset);

/** What a gated FFN makes of gate and up; the names are those of `Activation` in the engine. */
enum class Gating { silu, geluTanh, clampedSwiglu };

/** gate = activate(gate, up), value by value. */
void activate(Gating gating, float* gate, const float* up, size_t count, float limit, float alpha);

}  // namespace specoffload
