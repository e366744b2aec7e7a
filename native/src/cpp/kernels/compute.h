// What each level computes with; `Kernels` says what they do.
#pragma once

#include "../attention.h"
#include "../product.h"
#include "../workers.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

void multiply(const ProductCall& call, Workers& workers);
void normalise(const float* x, const float* weight, const float* addend, float* y, size_t rows, size_t width, float eps,
               float offset);
void activate(Gating gating, float* gate, const float* up, size_t count, float limit, float alpha);
void attend(const AttentionCall& call, Workers& workers);

}  // namespace specoffload::SPECOFFLOAD_LEVEL
