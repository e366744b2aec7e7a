// Products with vectors along outputs: weights are laid side by side once, and serve all rows of x from the cache.
//
// One element is a chain of sums over `depth` in order: within each stretch value by value, then the stretches. Tiles
// decide only which chains run side by side.
#include <algorithm>
#include <cstring>

#include "compute.h"
#include "panel.h"
#include "vec.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

/** Rows whose sums, two vectors each, fit the registers beside two vectors of weights and a spread value of x. */
#if defined(__AVX512F__)
constexpr size_t mostRows = 14;
#else
constexpr size_t mostRows = 6;
#endif
/** From one row of a tile of x to the next: an odd number of cache lines, so that rows do not drive each other out. */
constexpr size_t tileStride = stretchDepth + 16;
/** Copied stretches of rows: they fit the second-level cache beside a panel. */
constexpr size_t mostCopied = 36 * mostRows;
/** Panels that they are copied for at once. */
constexpr size_t mostPanels = 16;

/** y (+)= tile of x · panel. Lanes behind `numOut` are not stored. */
template <size_t rows>
void multiplyOuterTile(const float* x, const float* panel, size_t depth, size_t numOut, float* y, size_t yStride,
                       bool adds) {
  Vec sums[rows][2] = {};
  for (size_t k = 0; k < depth; ++k) {
    const Vec w[2] = {load(panel + k * panelOuts), load(panel + k * panelOuts + lanesOf)};
#pragma GCC unroll 16
    for (size_t r = 0; r < rows; ++r) {
      const Vec value = splat(x[r * tileStride + k]);
      sums[r][0] = fma(value, w[0], sums[r][0]);
      sums[r][1] = fma(value, w[1], sums[r][1]);
    }
  }
#pragma GCC unroll 16
  for (size_t r = 0; r < rows; ++r) {
#pragma GCC unroll 2
    for (size_t half = 0; half < 2; ++half) {
      float* const to = y + r * yStride + half * lanesOf;
      if (numOut >= (half + 1) * lanesOf) store(to, adds ? load(to) + sums[r][half] : sums[r][half]);
      else if (numOut > half * lanesOf) {
        const int rest = static_cast<int>(numOut - half * lanesOf);
        storePart(to, adds ? loadPart(to, rest) + sums[r][half] : sums[r][half], rest);
      }
    }
  }
}

using OuterTile = void (*)(const float*, const float*, size_t, size_t, float*, size_t, bool);

template <size_t... before>
OuterTile outerTileOf(size_t rows, std::index_sequence<before...>) {
  static constexpr OuterTile tiles[] = {multiplyOuterTile<before + 1>...};
  return tiles[rows - 1];
}

/** As many panels as leave two groups of them for each thread. */
size_t panelsTogether(const ProductCall& call) {
  const size_t fair = call.width / (2 * static_cast<size_t>(call.threads)) / panelOuts;
  return std::min(mostPanels, std::max(size_t{1}, fair));
}

/** Rows in parts of about the same size: small ones leave the arithmetic waiting for itself. */
struct Parts {
  Parts(size_t all, size_t most) : rows(all), number((all + most - 1) / most) {}
  size_t start(size_t part) const { return rows * part / number; }
  size_t rows;
  size_t number;
};

/** Copies of x: some rows, and as many of their stretches as there is room for. */
struct Copies {
  explicit Copies(const ProductCall& call)
      : rows(call.rows, mostCopied), stretches(std::max(size_t{1}, mostCopied / std::max(size_t{1}, call.rows))) {}
  size_t depth() const { return stretches * stretchDepth; }
  Parts rows;
  size_t stretches;
};

/** x(stretch, row, value) of `numRows` rows from `k` to `end`. */
void copyRows(const ProductCall& call, size_t firstRow, size_t numRows, size_t k, size_t end, float* x) {
  for (; k < end; k += stretchDepth)
    for (size_t row = firstRow; row < firstRow + numRows; ++row, x += tileStride)
      std::memcpy(x, call.x + row * call.depth + k, std::min(stretchDepth, call.depth - k) * sizeof(float));
}

/** A stretch of some rows of x with that of a panel's weights. */
void multiplyPanel(const ProductCall& call, const float* x, const Parts& tiles, const float* panel, float* y,
                   size_t numOut, size_t k, size_t depth) {
  for (size_t tile = 0; tile < tiles.number; ++tile) {
    const size_t row = tiles.start(tile);
    const OuterTile multiplyRows = outerTileOf(tiles.start(tile + 1) - row, std::make_index_sequence<mostRows>{});
    multiplyRows(x + row * tileStride, panel, depth, numOut, y + row * call.width, call.width, k > 0);
  }
}

}  // namespace

void multiplyOuter(const ProductCall& call, Workers& workers) {
  const size_t groupOuts = panelsTogether(call) * panelOuts;
  const Copies copies(call);
  workers.reserve(call.threads, panelFloats + packRoom + mostCopied * tileStride);
  workers.pool.run(call.threads, (call.width + groupOuts - 1) / groupOuts, [&](size_t item, int participant) {
    const size_t firstOut = item * groupOuts;
    const size_t endOut = std::min(firstOut + groupOuts, call.width);
    float* const panel = workers.room(participant);
    float* const room = panel + panelFloats;
    float* const x = room + packRoom;
    for (size_t part = 0; part < copies.rows.number; ++part) {
      const size_t firstRow = copies.rows.start(part);
      const Parts tiles(copies.rows.start(part + 1) - firstRow, mostRows);
      for (size_t from = 0; from < call.depth; from += copies.depth()) {
        const size_t end = std::min(from + copies.depth(), call.depth);
        copyRows(call, firstRow, tiles.rows, from, end, x);
        for (size_t out = firstOut; out < endOut; out += panelOuts) {
          const size_t numOut = std::min(panelOuts, endOut - out);
          const float* copied = x;
          for (size_t k = from; k < end; k += stretchDepth, copied += tiles.rows * tileStride) {
            const size_t depth = std::min(stretchDepth, end - k);
            packPanel(call, out, numOut, k, depth, panel, room);
            multiplyPanel(call, copied, tiles, panel, call.y + firstRow * call.width + out, numOut, k, depth);
          }
        }
      }
    }
    finishOutputs(call, firstOut, endOut - firstOut);
  });
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
