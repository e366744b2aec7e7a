// What each level computes with; `Kernels` says what they do.
#pragma once

#include "../attention.h"
#include "../product.h"
#include "../workers.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

void multiply(const ProductCall& call, Workers& workers);
/** The same for weights that lie plainly, with vectors along outputs. */
void multiplyOuter(const ProductCall& call, Workers& workers);
/** Adds bias and addend. */
void finishOutputs(const ProductCall& call, size_t firstOut, size_t numOut);
void normalise(const float* x, const float* weight, const float* addend, float* y, size_t rows, size_t width, float eps,
               float offset);
void activate(Gating gating, float* gate, const float* up, size_t count, float limit, float alpha);
void attend(const AttentionCall& call, Workers& workers);

}  // namespace specoffload::SPECOFFLOAD_LEVEL
