// Products of bf16 weights by tiles (AMX), which hold 16 outputs by 32 values of a weight row.
//
// x stays fp32: it is the sum of three bf16 exactly, each of which is multiplied exactly and added in fp32. One element is a
// chain of sums over `depth` in a fixed order, stretch by stretch; tiles decide only which chains run side by side.
#include "../kernels.h"
#include "../kernels/transpose.h"
#include "sums.h"
#include "tiles.h"

namespace specoffload {

namespace avx512 {
extern const Kernels table;
void finishOutputs(const ProductCall& call, size_t firstOut, size_t numOut);
}  // namespace avx512

namespace SPECOFFLOAD_LEVEL {

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

void multiplyTiles(const StoredRows& stored, const Stretch& stretch, const TiledX& x, const TiledRows& rows,
                   const Outputs& outputs, int threads, Workers& workers, size_t roomAt) {
  eachGroup(outputs.width, threads, workers, [&](size_t firstOut, size_t numOut, int participant) {
    uint8_t* const room = reinterpret_cast<uint8_t*>(workers.room(participant)) + roomAt;
    const GroupRows group(stored, stretch, firstOut, numOut, room);
    sumGroup(group, x.tiles, x.step, rows.tiles(), [&](const float* sums, size_t rowTile, size_t outTile) {
      const size_t row = rowTile * tileSide;
      const size_t out = outTile * tileSide;
      storeSums(sums, outputs.y + (rows.first + row) * outputs.width + firstOut + out, outputs.width,
                std::min(tileSide, rows.count - row), std::min(tileSide, numOut - out), stretch.first > 0);
    });
  });
}

void multiply(const ProductCall& call, Workers& workers) {
  if (call.layout != nullptr || !isOfBf16(*call.codec)) {
    avx512::table.multiply(call, workers);
    return;
  }
  for (size_t k = 0; k < call.depth; k += stretchDepth) {
    const Stretch stretch{k, std::min(k + stretchDepth, call.depth)};
    const size_t xStep = stretch.spans() * spanBytesOfX;
    const size_t most = rowsTogether(xStep);
    for (size_t row = 0; row < call.rows; row += most) {
      const TiledRows rows{row, std::min(most, call.rows - row)};
      const size_t xBytes = rows.tiles() * xStep;
      workers.reserve(call.threads, (xBytes + stretch.spans() * groupSpanBytes) / sizeof(float));
      uint8_t* const x = reinterpret_cast<uint8_t*>(workers.room(0));
      layAll(call.x, call.depth, rows, stretch, x);
      multiplyTiles(storedRowsOf(call), stretch, {x, xStep}, rows, {call.y, call.width}, call.threads, workers, xBytes);
    }
  }
  avx512::finishOutputs(call, 0, call.width);
}

}  // namespace SPECOFFLOAD_LEVEL
}  // namespace specoffload
