// Weights of neighbouring outputs side by side, as fp32: what vectors along outputs are multiplied from.
#pragma once

#include "../product.h"
#include "vec.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

/** Outputs of a panel: two vectors, so that every value of x that is spread serves two sums. */
constexpr size_t panelOuts = 2 * lanes;
/** Values of a weight row in a panel: whole blocks of every codec. */
constexpr size_t stretchDepth = 256;
constexpr size_t panelFloats = panelOuts * stretchDepth;
/** Room for rows that are decoded before they are laid side by side, then for scales and zero points of their groups. */
constexpr size_t packRoom = 2 * lanes * stretchDepth;

/** panel(k, out) of `numOut` <= panelOuts outputs and `depth` <= stretchDepth values; lanes of no output hold anything. */
void packPanel(const ProductCall& call, size_t firstOut, size_t numOut, size_t k, size_t depth, float* panel, float* room);

/** The same of rows of `bf16_packed`, one for each lane of a vector: `depth` in whole blocks. */
void packBlocksOfBf16(const uint8_t* const (&from)[lanes], size_t depth, float* panel);

}  // namespace specoffload::SPECOFFLOAD_LEVEL
