// Products of bf16 weights by tiles (AMX), which hold 16 outputs by 32 values of a weight row.
//
// x stays fp32: it is the sum of three bf16 exactly, each of which is multiplied exactly and added in fp32. One element is a
// chain of sums over `depth` in a fixed order, stretch by stretch; tiles decide only which chains run side by side.
#include <algorithm>
#include <cstring>

#include "../kernels.h"
#include "../kernels/transpose.h"
#include "operands.h"
#include "sums.h"

namespace specoffload {

namespace avx512 {
extern const Kernels table;
void finishOutputs(const ProductCall& call, size_t firstOut, size_t numOut);
}  // namespace avx512

namespace SPECOFFLOAD_LEVEL {

namespace {

/** Values of a weight row before sums leave their tiles: what outputs of a group have fits the second-level cache. */
constexpr size_t stretchDepth = 4096;
/** Bytes of x in tiles, which fit there beside it. */
constexpr size_t mostBytesOfX = size_t{3} << 19;
/** Output tiles of a group, which one thread takes at once. */
constexpr size_t mostOutTiles = 4;

bool isOfBf16(const ProductCall& call) {
  const char* const name = call.codec->name;
  return call.layout == nullptr && (std::strcmp(name, "bf16") == 0 || std::strcmp(name, "bf16_packed") == 0);
}

/** As many as leave two groups of them for each thread. */
size_t outTilesTogether(const ProductCall& call) {
  const size_t fair = call.width / (2 * static_cast<size_t>(call.threads)) / tileSide;
  return std::min(mostOutTiles, std::max(size_t{1}, fair));
}

/** Rows of x that are in tiles at the same time. */
struct Rows {
  size_t first;
  size_t count;
  size_t tiles() const { return (count + tileSide - 1) / tileSide; }
};

/** y (+)= sums(output, row), of up to sixteen of both. */
void storeSums(const float* sums, float* y, size_t yStride, size_t numRows, size_t numOut, bool adds) {
  IntVec columns[lanes];
  std::memcpy(columns, sums, sizeof columns);
  transpose(columns);
  for (size_t row = 0; row < numRows; ++row, y += yStride) {
    const Vec values = (Vec)columns[row];
    const int rest = static_cast<int>(numOut);
    if (numOut == tileSide) store(y, adds ? load(y) + values : values);
    else storePart(y, adds ? loadPart(y, rest) + values : values, rest);
  }
}

/** A group's outputs with all rows that are in tiles. */
void multiplyGroup(const ProductCall& call, const Stretch& stretch, const Rows& rows, const uint8_t* x,
                   const uint8_t* weights, size_t firstOut, size_t numOut) {
  const size_t outTiles = (numOut + tileSide - 1) / tileSide;
  const size_t weightsStep = outTiles * tileBytes;
  const size_t steps = stretch.steps();
  const size_t xStep = steps * numParts * tileBytes;
  alignas(64) float sums[mostOutTiles * tileFloats];
  const auto storeAll = [&](size_t firstTile, size_t rowTiles, size_t firstOutTile, size_t numOutTiles) {
    for (size_t tile = 0; tile < numOutTiles * rowTiles; ++tile) {
      const size_t row = (firstTile + tile % rowTiles) * tileSide;
      const size_t out = (firstOutTile + tile / rowTiles) * tileSide;
      storeSums(sums + tile * tileFloats, call.y + (rows.first + row) * call.width + firstOut + out, call.width,
                std::min(tileSide, rows.count - row), std::min(tileSide, numOut - out), stretch.first > 0);
    }
  };
  size_t tile = 0;
  for (; tile + 2 <= rows.tiles(); tile += 2)
    for (size_t out = 0; out < outTiles; out += 2) {
      const bool isPair = out + 2 <= outTiles;
      (isPair ? sumTwoRowTiles<true> : sumTwoRowTiles<false>)(weights + out * tileBytes, weightsStep, x + tile * xStep, xStep,
                                                            steps, sums);
      storeAll(tile, 2, out, isPair ? 2 : 1);
    }
  if (tile == rows.tiles()) return;
  static constexpr decltype(&sumOneRowTile<1>) sumOf[] = {sumOneRowTile<1>, sumOneRowTile<2>, sumOneRowTile<3>,
                                                         sumOneRowTile<4>};
  sumOf[outTiles - 1](weights, weightsStep, x + tile * xStep, steps, sums);
  storeAll(tile, 1, 0, outTiles);
}

void multiplyRows(const ProductCall& call, Workers& workers, const Stretch& stretch, const Rows& rows) {
  const size_t groupOuts = outTilesTogether(call) * tileSide;
  const size_t xStep = stretch.steps() * numParts * tileBytes;
  const size_t xFloats = rows.tiles() * xStep / sizeof(float);
  workers.reserve(call.threads, xFloats + groupOuts * stretch.steps() * tileBytes / tileSide / sizeof(float));
  uint8_t* const x = reinterpret_cast<uint8_t*>(workers.room(0));
  for (size_t tile = 0; tile < rows.tiles(); ++tile) {
    const size_t row = tile * tileSide;
    layRows(call, stretch, rows.first + row, std::min(tileSide, rows.count - row), x + tile * xStep);
  }
  workers.pool.run(call.threads, (call.width + groupOuts - 1) / groupOuts, [&](size_t item, int participant) {
    const TileUse use;
    const size_t firstOut = item * groupOuts;
    const size_t numOut = std::min(groupOuts, call.width - firstOut);
    uint8_t* const weights = reinterpret_cast<uint8_t*>(workers.room(participant) + xFloats);
    layWeights(call, stretch, firstOut, numOut, weights);
    multiplyGroup(call, stretch, rows, x, weights, firstOut, numOut);
  });
}

}  // namespace

void multiply(const ProductCall& call, Workers& workers) {
  if (!isOfBf16(call)) {
    avx512::table.multiply(call, workers);
    return;
  }
  for (size_t k = 0; k < call.depth; k += stretchDepth) {
    const Stretch stretch{k, std::min(k + stretchDepth, call.depth)};
    const size_t pairBytes = 2 * stretch.steps() * numParts * tileBytes;
    const size_t rowsTogether = std::max(size_t{1}, mostBytesOfX / pairBytes) * 2 * tileSide;
    for (size_t row = 0; row < call.rows; row += rowsTogether)
      multiplyRows(call, workers, stretch, {row, std::min(rowsTogether, call.rows - row)});
  }
  avx512::finishOutputs(call, 0, call.width);
}

}  // namespace SPECOFFLOAD_LEVEL
}  // namespace specoffload
