// What tiles are loaded from: weights as bf16, and x as three bf16 whose sum it is.
//
// Values of a row come in an order that costs packed weights nothing: of each 64, a first tile has those whose number lacks
// bit 3, a second the others. Sums over a row do not mind, as both sides keep to it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../product.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

constexpr size_t tileBytes = 1024;
/** Outputs of a tile of weights, rows of a tile of x. */
constexpr size_t tileSide = 16;
constexpr size_t tileFloats = tileSide * tileSide;
/** Values of a weight row in two tiles. */
constexpr size_t spanDepth = 64;
/** bf16 that one value of x is the sum of. */
constexpr size_t numParts = 3;

/** Some values of every row. */
struct Stretch {
  size_t first;
  size_t end;
  /** Tiles of a row of them. */
  size_t steps() const { return (end - first + spanDepth - 1) / spanDepth * 2; }
};

/** Tile (step, output tile): 16 outputs. Those behind the last of a product hold anything. */
void layWeights(const ProductCall& call, const Stretch& stretch, size_t firstOut, size_t numOut, uint8_t* tiles);

/** Tile (step, part): pairs of values for 16 rows, zeros where there are fewer. */
void layRows(const ProductCall& call, const Stretch& stretch, size_t firstRow, size_t numRows, uint8_t* tiles);

}  // namespace specoffload::SPECOFFLOAD_LEVEL
