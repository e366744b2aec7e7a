// Kernels for the vector instructions that a processor may have: one build holds them all and chooses when it is loaded.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "attention.h"
#include "product.h"
#include "widen.h"
#include "workers.h"

namespace specoffload {

/** Those of one level. All trust their arguments; levels decode to the same bits, and sum in orders of their own. */
struct Kernels {
  const char* level;
  const Codec* codecs;
  size_t numCodecs;
  /** bf16 packed without loss, `count` in whole blocks; false where one does not fit. */
  bool (*packBf16)(const uint8_t* values, size_t count, uint8_t* packed);
  void (*unpackBf16)(const uint8_t* packed, size_t count, uint8_t* values);
  /**
   * Weights are decoded piece by piece, exactly, into memory that stays in the cache; products and sums are fp32. A row's
   * bits depend neither on other rows nor on `threads`: every sum is taken in the same order.
   */
  void (*multiply)(const ProductCall& call, Workers& workers);
  /** y = x / sqrt(mean(x²) + eps) * (offset + weight) (+ addend), over stretches of `width`. y may be x. */
  void (*normalise)(const float* x, const float* weight, const float* addend, float* y, size_t rows, size_t width,
                    float eps, float offset);
  /** gate = activate(gate, up), value by value. */
  void (*activate)(Gating gating, float* gate, const float* up, size_t count, float limit, float alpha);
  /** Rotates, appends to the sequences' caches, attends causally. A row's bits depend on nothing but its own text. */
  void (*attend)(const AttentionCall& call, Workers& workers);
  /** All of an FFN at once, with the same sums as product by product; false where that is no faster, and nothing is done. */
  bool (*feedForward)(const FeedForwardCall& call, Workers& workers);
};

/** Those in use: of this processor's best level, unless {@link useKernels} said otherwise. */
const Kernels& kernels();

/** Levels that this processor can run, the best last. */
std::vector<std::string> kernelLevels();

/** For all threads, from their next call on. False where this processor has no such level. */
bool useKernels(const std::string& level);

}  // namespace specoffload
