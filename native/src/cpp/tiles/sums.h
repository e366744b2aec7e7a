// Sums in tiles: of each step weights and the parts of x are loaded, multiplied and added.
#pragma once

#include <immintrin.h>

#include "operands.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

/** Tiles are set up for a thread while one of these lives; nothing else may use them meanwhile. */
class TileUse {
public:
  TileUse() {
    struct alignas(64) {
      uint8_t palette = 1;
      uint8_t startRow = 0;
      uint8_t reserved[14] = {};
      uint16_t rowBytes[16] = {};
      uint8_t rows[16] = {};
    } config;
    for (size_t tile = 0; tile < 8; ++tile) {
      config.rowBytes[tile] = tileBytes / tileSide;
      config.rows[tile] = tileSide;
    }
    _tile_loadconfig(&config);
  }
  ~TileUse() { _tile_release(); }
  TileUse(const TileUse&) = delete;
  TileUse& operator=(const TileUse&) = delete;
};

/** Sums (output tile, row tile) of two tiles of outputs, or one, with two of rows. */
template <bool isPair>
void sumTwoRowTiles(const uint8_t* weights, size_t weightsStep, const uint8_t* x, size_t xStep, size_t steps, float* sums) {
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (isPair) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (size_t step = 0; step < steps; ++step, weights += weightsStep) {
    _tile_loadd(4, weights, 64);
    if constexpr (isPair) _tile_loadd(5, weights + tileBytes, 64);
    for (size_t part = 0; part < numParts; ++part, x += tileBytes) {
      _tile_loadd(6, x, 64);
      _tile_loadd(7, x + xStep, 64);
      _tile_dpbf16ps(0, 4, 6);
      _tile_dpbf16ps(1, 4, 7);
      if constexpr (isPair) {
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
      }
    }
  }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + tileFloats, 64);
  if constexpr (isPair) {
    _tile_stored(2, sums + 2 * tileFloats, 64);
    _tile_stored(3, sums + 3 * tileFloats, 64);
  }
}

/** Sums of up to four tiles of outputs with one of rows. */
template <int numOutTiles>
void sumOneRowTile(const uint8_t* weights, size_t weightsStep, const uint8_t* x, size_t steps, float* sums) {
  _tile_zero(0);
  if constexpr (numOutTiles > 1) _tile_zero(1);
  if constexpr (numOutTiles > 2) _tile_zero(2);
  if constexpr (numOutTiles > 3) _tile_zero(3);
  for (size_t step = 0; step < steps; ++step, weights += weightsStep, x += numParts * tileBytes) {
    _tile_loadd(4, x, 64);
    _tile_loadd(5, x + tileBytes, 64);
    _tile_loadd(6, x + 2 * tileBytes, 64);
#define SPECOFFLOAD_ADD(tile)                         \
  if constexpr (numOutTiles > tile) {                 \
    _tile_loadd(7, weights + tile * tileBytes, 64);   \
    _tile_dpbf16ps(tile, 7, 4);                       \
    _tile_dpbf16ps(tile, 7, 5);                       \
    _tile_dpbf16ps(tile, 7, 6);                       \
  }
    SPECOFFLOAD_ADD(0)
    SPECOFFLOAD_ADD(1)
    SPECOFFLOAD_ADD(2)
    SPECOFFLOAD_ADD(3)
#undef SPECOFFLOAD_ADD
  }
  _tile_stored(0, sums, 64);
  if constexpr (numOutTiles > 1) _tile_stored(1, sums + tileFloats, 64);
  if constexpr (numOutTiles > 2) _tile_stored(2, sums + 2 * tileFloats, 64);
  if constexpr (numOutTiles > 3) _tile_stored(3, sums + 3 * tileFloats, 64);
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
