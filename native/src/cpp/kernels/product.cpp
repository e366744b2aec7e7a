// Panels of weights are decoded to fp32, then multiplied in tiles whose sums stay in registers.
//
// One element is a chain of sums over `depth` in a fixed order: in each stretch of `panelDepth` values lane by lane, then
// the lanes, then the stretches. Tiles decide only which chains run side by side.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "codecs.h"
#include "compute.h"
#include "gating.h"
#include "vec.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

/** Values of a weight row decoded at a time: whole blocks of every codec, many sums for each that lanes are added up. */
constexpr size_t panelDepth = 1024;
/** Weight rows of a panel: decoded, they fit the second-level cache, and each row of x passes by once for all of them. */
constexpr size_t widestPanel = 128;
/** Sums of a tile, a vector of each row and one of weights fit the registers. */
constexpr size_t tileWidth = 4;
#if defined(__AVX512F__)
constexpr size_t tileRows = 6;
#elif defined(__AVX__)
constexpr size_t tileRows = 3;
#else
constexpr size_t tileRows = 2;
#endif

/** Lane sums to one number each, every one in the same order. */
template <size_t count>
inline void sumTile(const Vec (&sums)[count], float (&totals)[count]) {
#pragma GCC unroll 8
  for (size_t first = 0; first < count; first += lanesOf) {
    Vec group[lanes];
#pragma GCC unroll 16
    for (size_t i = 0; i < lanesOf; ++i) group[i] = first + i < count ? sums[first + i] : Vec{};
    const Vec added = sumEach(group);
    std::memcpy(totals + first, &added, sizeof(float) * std::min(lanesOf, count - first));
  }
}

/** y (+)= tile of x · tile of weightsᵀ over a stretch of `depth` values. All loops over sums unroll: they are registers. */
template <size_t numRows, size_t numOut>
void multiplyTile(const float* x, size_t xStride, const float* weights, size_t depth, float* y, size_t yStride,
                  bool adds) {
  Vec sums[numRows * numOut] = {};
  const auto add = [&](size_t k, auto loadFrom) __attribute__((always_inline)) {
    Vec values[numRows];
#pragma GCC unroll 8
    for (size_t r = 0; r < numRows; ++r) values[r] = loadFrom(x + r * xStride + k);
#pragma GCC unroll 8
    for (size_t o = 0; o < numOut; ++o) {
      const Vec w = loadFrom(weights + o * panelDepth + k);
#pragma GCC unroll 8
      for (size_t r = 0; r < numRows; ++r) sums[r * numOut + o] = fma(values[r], w, sums[r * numOut + o]);
    }
  };
  size_t k = 0;
  for (; k + lanesOf <= depth; k += lanesOf) add(k, [](const float* from) { return load(from); });
  if (k < depth) add(k, [rest = static_cast<int>(depth - k)](const float* from) { return loadPart(from, rest); });
  float totals[numRows * numOut];
  sumTile(sums, totals);
#pragma GCC unroll 8
  for (size_t r = 0; r < numRows; ++r) {
#pragma GCC unroll 8
    for (size_t o = 0; o < numOut; ++o) {
      float& value = y[r * yStride + o];
      value = adds ? value + totals[r * numOut + o] : totals[r * numOut + o];
    }
  }
}

using Tile = void (*)(const float*, size_t, const float*, size_t, float*, size_t, bool);

/** The tile of so many rows and outputs, both at least 1. */
template <size_t numOut>
Tile tileOf(size_t numRows) {
  static_assert(tileRows <= 6, "a tile for every number of rows");
  static constexpr Tile tiles[] = {multiplyTile<1, numOut>, multiplyTile<2, numOut>, multiplyTile<3, numOut>,
                                   multiplyTile<4, numOut>, multiplyTile<5, numOut>, multiplyTile<6, numOut>};
  return tiles[numRows - 1];
}

Tile tileOf(size_t numRows, size_t numOut) {
  return numOut == tileWidth ? tileOf<tileWidth>(numRows) : tileOf<1>(numRows);
}

/** All rows of x with a panel of decoded weights. */
void multiplyPanel(const ProductCall& call, const float* panel, size_t firstOut, size_t numOut, size_t k, size_t depth) {
  for (size_t row = 0; row < call.rows; row += tileRows) {
    const size_t numRows = std::min(tileRows, call.rows - row);
    for (size_t out = 0; out < numOut;) {
      const size_t width = numOut - out >= tileWidth ? tileWidth : 1;
      tileOf(numRows, width)(call.x + row * call.depth + k, call.depth, panel + out * panelDepth, depth,
                             call.y + row * call.width + firstOut + out, call.width, k > 0);
      out += width;
    }
  }
}

/** Whole tiles; one, where one tile has all rows, else as many as leave two panels for each thread. */
size_t panelWidthFor(const ProductCall& call) {
  if (call.rows <= tileRows) return tileWidth;
  const size_t fair = call.width / (2 * static_cast<size_t>(call.threads)) / tileWidth * tileWidth;
  return std::min(widestPanel, std::max(tileWidth, fair));
}

/** Values that stand each by themselves are laid side by side sooner than lanes are added up; packed ones come to the same sums. */
bool isPlain(const Codec& codec) { return codec.blockElements == 1 || codec.decode == decodeBf16Packed; }

}  // namespace

void finishOutputs(const ProductCall& call, size_t firstOut, size_t numOut) {
  for (size_t row = 0; row < call.rows; ++row) {
    const size_t at = row * call.width + firstOut;
    for (size_t o = 0; call.bias != nullptr && o < numOut; ++o) call.y[at + o] += call.bias[firstOut + o];
    for (size_t o = 0; call.addend != nullptr && o < numOut; ++o) call.y[at + o] += call.addend[at + o];
  }
}

void multiply(const ProductCall& call, Workers& workers) {
  if (isPlain(*call.codec) || call.layout != nullptr) {
    multiplyOuter(call, workers);
    return;
  }
  const size_t rowBytes = call.codec->bytes(call.depth);
  const size_t panelWidth = panelWidthFor(call);
  workers.reserve(call.threads, panelWidth * panelDepth);
  workers.pool.run(call.threads, (call.width + panelWidth - 1) / panelWidth, [&](size_t item, int participant) {
    const size_t firstOut = item * panelWidth;
    const size_t numOut = std::min(panelWidth, call.width - firstOut);
    float* const panel = workers.room(participant);
    for (size_t k = 0; k < call.depth; k += panelDepth) {
      const size_t depth = std::min(panelDepth, call.depth - k);
      for (size_t o = 0; o < numOut; ++o) {
        const uint8_t* const row = call.weights + call.step * pairedRow(call.paired, firstOut + o) * rowBytes;
        call.codec->decode(row + call.codec->bytes(k), depth, panel + o * panelDepth);
      }
      multiplyPanel(call, panel, firstOut, numOut, k, depth);
    }
    finishOutputs(call, firstOut, numOut);
  });
}

void normalise(const float* x, const float* weight, const float* addend, float* y, size_t rows, size_t width, float eps,
               float offset) {
  for (size_t row = 0; row < rows; ++row, x += width, y += width) {
    Vec sums = {};
    size_t i = 0;
    for (; i + lanesOf <= width; i += lanesOf) sums = fma(load(x + i), load(x + i), sums);
    if (i < width) {
      const Vec rest = loadPart(x + i, static_cast<int>(width - i));
      sums = fma(rest, rest, sums);
    }
    const float scale = 1.0f / std::sqrt(sum(sums) / static_cast<float>(width) + eps);
    for (i = 0; i < width; ++i) {
      const float value = x[i] * scale * (offset + weight[i]);
      y[i] = addend == nullptr ? value : addend[row * width + i] + value;
    }
  }
}

void activate(Gating gating, float* g, const float* up, size_t count, float limit, float alpha) {
  size_t i = 0;
  for (; i + lanesOf <= count; i += lanesOf) store(g + i, gate(gating, load(g + i), load(up + i), limit, alpha));
  if (i == count) return;
  const int rest = static_cast<int>(count - i);
  storePart(g + i, gate(gating, loadPart(g + i, rest), loadPart(up + i, rest), limit, alpha), rest);
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
