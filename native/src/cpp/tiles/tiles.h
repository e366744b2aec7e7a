// Rows in tiles, and products with them.
#pragma once

#include "../workers.h"
#include "sums.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

/** Bytes of a span of a group's weights. */
constexpr size_t groupSpanBytes = 2 * mostOutTiles * tileBytes;

/** Rows that are in tiles at the same time. */
struct TiledRows {
  size_t first;
  size_t count;
  size_t tiles() const { return tilesFor(count); }
};

/** Tiles of a stretch of them, so many bytes from one row tile to the next. */
struct TiledX {
  const uint8_t* tiles;
  size_t step;
};

/** How many fit the second-level cache, in pairs of tiles of so many bytes each. */
constexpr size_t rowsTogether(size_t tileStep) {
  constexpr size_t mostBytes = size_t{3} << 19;
  return std::max(size_t{1}, mostBytes / (2 * tileStep)) * 2 * tileSide;
}

/** Tiles (row tile, step, part) of rows of x. */
inline void layAll(const float* x, size_t depth, const TiledRows& rows, const Stretch& stretch, uint8_t* tiles) {
  for (size_t row = 0; row < rows.count; row += tileSide, tiles += stretch.spans() * spanBytesOfX)
    layRows(x + (rows.first + row) * depth, depth, std::min(tileSide, rows.count - row), stretch, tiles);
}

/**
 * Calls `work(first output, number, participant)` for groups of outputs; a thread takes some that are neighbours, whose
 * weights follow each other, and leaves as many for each to take again.
 */
template <typename Work>
inline void eachGroup(size_t width, int threads, Workers& workers, Work work) {
  const size_t fair = width / (2 * static_cast<size_t>(threads)) / tileSide * tileSide;
  const size_t groupOuts = std::min(mostOuts, std::max(tileSide, fair));
  const size_t outs = std::max(groupOuts, fair / groupOuts * groupOuts);
  workers.pool.run(threads, (width + outs - 1) / outs, [&](size_t item, int participant) {
    const TileUse use;
    const size_t end = std::min((item + 1) * outs, width);
    for (size_t out = item * outs; out < end; out += groupOuts) work(out, std::min(groupOuts, end - out), participant);
  });
}

/** y (+)= sums(output, row), of up to sixteen of both. */
void storeSums(const float* sums, float* y, size_t yStride, size_t numRows, size_t numOut, bool adds);

struct Outputs {
  float* y;  // (row, width)
  size_t width;
};

/** y (+)= x · weightsᵀ over a stretch, from its first on. Every participant lays weights behind `roomAt` bytes of its room. */
void multiplyTiles(const StoredRows& stored, const Stretch& stretch, const TiledX& x, const TiledRows& rows,
                   const Outputs& outputs, int threads, Workers& workers, size_t roomAt);

}  // namespace specoffload::SPECOFFLOAD_LEVEL
