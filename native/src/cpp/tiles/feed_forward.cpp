// A gated FFN at once: what gate and up come to lies in tiles as down needs it, and never becomes rows in between.
#include "../kernels.h"
#include "../kernels/gating.h"
#include "tiles.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

/** Everything that participants share. */
struct Pass {
  const FeedForwardCall& call;
  TiledX x;
  /** Activations: tiles (row tile, step, part). */
  uint8_t* hidden;
  size_t hiddenStep;
  TiledRows rows;
  Stretch stretch;  // all of x
};

bool canBeTiled(const ProductCall& call) {
  return call.layout == nullptr && call.bias == nullptr && call.addend == nullptr && isOfBf16(*call.codec);
}

/** Sixteen activations of sixteen rows, of which the last may be of no output. */
void layActivations(const Pass& pass, const float* gates, const float* ups, size_t rowTile, size_t firstOut) {
  const FeedForwardCall& call = pass.call;
  IntVec columns[lanes];
  for (size_t i = 0; i < tileSide; ++i) {
    const bool isThere = firstOut + i < call.gate.width;
    const Vec value = gate(call.gating, load(gates + i * tileSide), load(ups + i * tileSide), call.limit, call.alpha);
    columns[i] = isThere ? (IntVec)value : IntVec{};
  }
  const size_t quarter = firstOut / tileSide;
  layColumns(columns, quarter % 4, pass.hidden + rowTile * pass.hiddenStep + quarter / 4 * spanBytesOfX);
}

/** Behind the last of them the last span is empty. */
void layRest(const Pass& pass) {
  const size_t width = pass.call.gate.width;
  const IntVec nothing[lanes] = {};
  for (size_t quarter = tilesFor(width); quarter % 4 != 0; ++quarter)
    for (size_t tile = 0; tile < pass.rows.tiles(); ++tile)
      layColumns(nothing, quarter % 4, pass.hidden + tile * pass.hiddenStep + quarter / 4 * spanBytesOfX);
}

/** @param room where this participant lays weights of both and keeps sums of gate */
void activateGroup(const Pass& pass, size_t firstOut, size_t numOut, uint8_t* room) {
  const size_t groupBytes = pass.stretch.spans() * groupSpanBytes;
  float* const gates = reinterpret_cast<float*>(room + groupBytes);
  const auto placeOf = [&](size_t rowTile, size_t outTile) { return gates + (rowTile * mostOutTiles + outTile) * tileFloats; };
  const auto sum = [&](const ProductCall& product, auto put) {
    const GroupRows group(storedRowsOf(product), pass.stretch, firstOut, numOut, room);
    sumGroup(group, pass.x.tiles, pass.x.step, pass.rows.tiles(), put);
  };
  sum(pass.call.gate, [&](const float* sums, size_t rowTile, size_t outTile) {
    std::memcpy(placeOf(rowTile, outTile), sums, tileFloats * sizeof(float));
  });
  sum(pass.call.up, [&](const float* sums, size_t rowTile, size_t outTile) {
    layActivations(pass, placeOf(rowTile, outTile), sums, rowTile, firstOut + outTile * tileSide);
  });
}

}  // namespace

bool feedForward(const FeedForwardCall& call, Workers& workers) {
  const auto& [depth, width] = std::pair(call.gate.depth, call.gate.width);
  if (depth > stretchDepth || !canBeTiled(call.gate) || !canBeTiled(call.up) || !canBeTiled(call.down)) return false;
  const int threads = call.down.threads;
  const Stretch stretch{0, depth};
  const size_t xStep = stretch.spans() * spanBytesOfX;
  const size_t hiddenStep = Stretch{0, width}.spans() * spanBytesOfX;
  const size_t most = rowsTogether(xStep + hiddenStep);
  for (size_t row = 0; row < call.down.rows; row += most) {
    const TiledRows rows{row, std::min(most, call.down.rows - row)};
    const size_t xBytes = rows.tiles() * xStep;
    const size_t sharedBytes = xBytes + rows.tiles() * hiddenStep;
    const size_t gateBytes = stretch.spans() * groupSpanBytes + rows.tiles() * mostOutTiles * tileBytes;
    const size_t downBytes = Stretch{0, std::min(width, stretchDepth)}.spans() * groupSpanBytes;
    workers.reserve(threads, (sharedBytes + std::max(gateBytes, downBytes)) / sizeof(float));
    uint8_t* const x = reinterpret_cast<uint8_t*>(workers.room(0));
    layAll(call.gate.x, depth, rows, stretch, x);
    const Pass pass{call, {x, xStep}, x + xBytes, hiddenStep, rows, stretch};
    layRest(pass);
    eachGroup(width, threads, workers, [&](size_t firstOut, size_t numOut, int participant) {
      activateGroup(pass, firstOut, numOut, reinterpret_cast<uint8_t*>(workers.room(participant)) + sharedBytes);
    });
    for (size_t k = 0; k < width; k += stretchDepth) {
      const Stretch part{k, std::min(k + stretchDepth, width)};
      const TiledX hidden{pass.hidden + k / spanDepth * spanBytesOfX, hiddenStep};
      multiplyTiles(storedRowsOf(call.down), part, hidden, rows, {call.down.y, call.down.width}, threads, workers, sharedBytes);
    }
  }
  return true;
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
