// Sums in tiles: of each step weights and the parts of x are loaded, multiplied and added. Meanwhile the weights of the
// next span are laid, where nobody has done that: tiles and vectors are multiplied in parts of their own of a core.
#pragma once

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
      config.rowBytes[tile] = tileRowBytes;
      config.rows[tile] = tileSide;
    }
    _tile_loadconfig(&config);
  }
  ~TileUse() { _tile_release(); }
  TileUse(const TileUse&) = delete;
  TileUse& operator=(const TileUse&) = delete;
};

/** Outputs [first, first + count), of which a piece is laid between two steps; `lays` while that has not been done. */
struct Laying {
  const GroupRows& rows;
  bool lays;
  size_t first;
  size_t count;

  void begin() const {
    if (lays) rows.lay(0, first, first + count);
  }
  inline __attribute__((always_inline)) void goOn(size_t span, size_t piece, size_t pieces) const {
    if (lays && span < rows.spans) rows.lay(span, first + count * piece / pieces, first + count * (piece + 1) / pieces);
  }
};

/** Sums (output tile, row tile) of two tiles of outputs from `outTile` on, or one, with two of rows. */
template <bool isPair>
void sumTwoRowTiles(const GroupRows& rows, size_t outTile, bool lays, const uint8_t* x, size_t xStep, float* sums) {
  const Laying laying{rows, lays, outTile * tileSide, (isPair ? 2 : 1) * tileSide};
  const uint8_t* weights = rows.tiles + outTile * tileBytes;
  laying.begin();
  _tile_zero(0);
  _tile_zero(1);
  if constexpr (isPair) {
    _tile_zero(2);
    _tile_zero(3);
  }
  for (size_t span = 0; span < rows.spans; ++span)
    for (size_t half = 0; half < 2; ++half, weights += rows.outTiles * tileBytes) {
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
        laying.goOn(span + 1, half * numParts + part, 2 * numParts);
      }
    }
  _tile_stored(0, sums, 64);
  _tile_stored(1, sums + tileFloats, 64);
  if constexpr (isPair) {
    _tile_stored(2, sums + 2 * tileFloats, 64);
    _tile_stored(3, sums + 3 * tileFloats, 64);
  }
}

/** Sums of all output tiles, up to four, with one of rows. */
template <int numOutTiles>
void sumOneRowTile(const GroupRows& rows, bool lays, const uint8_t* x, float* sums) {
  const Laying laying{rows, lays, 0, numOutTiles * tileSide};
  const uint8_t* weights = rows.tiles;
  laying.begin();
  _tile_zero(0);
  if constexpr (numOutTiles > 1) _tile_zero(1);
  if constexpr (numOutTiles > 2) _tile_zero(2);
  if constexpr (numOutTiles > 3) _tile_zero(3);
  for (size_t span = 0; span < rows.spans; ++span)
    for (size_t half = 0; half < 2; ++half, weights += numOutTiles * tileBytes, x += numParts * tileBytes) {
      _tile_loadd(4, x, 64);
      _tile_loadd(5, x + tileBytes, 64);
      _tile_loadd(6, x + 2 * tileBytes, 64);
#define SPECOFFLOAD_ADD(tile)                                                          \
  if constexpr (numOutTiles > tile) {                                                  \
    _tile_loadd(7, weights + tile * tileBytes, 64);                                    \
    _tile_dpbf16ps(tile, 7, 4);                                                        \
    _tile_dpbf16ps(tile, 7, 5);                                                        \
    _tile_dpbf16ps(tile, 7, 6);                                                        \
    laying.goOn(span + 1, half * numOutTiles + tile, 2 * numOutTiles);                 \
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

/** Room for the sums of a group with two row tiles. */
constexpr size_t groupFloats = mostOutTiles * tileFloats;

/**
 * Sums of a group's outputs with `rowTiles` tiles of rows, so far apart. `put(sums, row tile, output tile)` gets those of
 * sixteen outputs and rows.
 */
template <typename Put>
inline void sumGroup(const GroupRows& rows, const uint8_t* x, size_t xStep, size_t rowTiles, Put put) {
  alignas(64) float sums[groupFloats];
  size_t tile = 0;
  for (; tile + 2 <= rowTiles; tile += 2)
    for (size_t out = 0; out < rows.outTiles; out += 2) {
      const bool isPair = out + 2 <= rows.outTiles;
      (isPair ? sumTwoRowTiles<true> : sumTwoRowTiles<false>)(rows, out, tile == 0, x + tile * xStep, xStep, sums);
      for (size_t i = 0; i < (isPair ? 4u : 2u); ++i) put(sums + i * tileFloats, tile + i % 2, out + i / 2);
    }
  if (tile == rowTiles) return;
  static constexpr decltype(&sumOneRowTile<1>) sumOf[] = {sumOneRowTile<1>, sumOneRowTile<2>, sumOneRowTile<3>,
                                                         sumOneRowTile<4>};
  sumOf[rows.outTiles - 1](rows, tile == 0, x + tile * xStep, sums);
  for (size_t out = 0; out < rows.outTiles; ++out) put(sums + out * tileFloats, tile, out);
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
