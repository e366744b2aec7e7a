// Work is split into items of one (sequence, key/value head). Inside an item, rows (new tokens x query heads of the
// group) go in tiles, and every key and value that is read serves the whole tile. What a row computes never depends
// on its tile: each score is one dot product with a fixed order of sums, the softmax runs over the row's own keys
// from its own first one, and values are added in the order of their positions.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "compute.h"
#include "vec.h"

namespace specoffload::SPECOFFLOAD_LEVEL {

namespace {

constexpr size_t rowsTogether = 32;                // rows that share one pass over the keys, or one token's if more
constexpr int registerRows = lanes == 16 ? 4 : 2;  // rows that share a loaded value: accumulators fit the registers
constexpr size_t valueBlockFloats = 4096;           // 16 KiB: half of a small first-level cache

size_t roundUpToLanes(size_t count) { return (count + lanes - 1) / lanes * lanes; }

/** RoPE, rotate-half convention, on one head: x (headDim) -> y (headDim), times `scale`. */
void rotate(const float* __restrict x, const float* __restrict cos, const float* __restrict sin, size_t headDim,
            float scale, float* __restrict y) {
  const size_t half = headDim / 2;
  for (size_t i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[half + i];
    y[i] = (a * cos[i] - b * sin[i]) * scale;
    y[half + i] = (b * cos[i] + a * sin[i]) * scale;
  }
}

/**
 * Dot products of one query with `lanes` keys. `offsets[j]` finds key j; where fewer keys are left, the last ones
 * repeat and their results are ignored.
 */
inline Vec dotKeys(const float* query, const float* keys, const size_t (&offsets)[lanes], size_t headDim) {
  Vec sums[lanes] = {};
  size_t d = 0;
  for (; d + lanes <= headDim; d += lanes) {
    const Vec part = load(query + d);
#pragma GCC unroll 16
    for (int j = 0; j < lanes; ++j) sums[j] = fma(part, load(keys + offsets[j] + d), sums[j]);
  }
  if (d < headDim) {
    const int rest = static_cast<int>(headDim - d);
    const Vec part = loadPart(query + d, rest);
#pragma GCC unroll 16
    for (int j = 0; j < lanes; ++j) sums[j] = fma(part, loadPart(keys + offsets[j] + d, rest), sums[j]);
  }
  return sumEach(sums);
}

/**
 * Turns scores (count, padded to whole vectors by the caller's spare room) into e^(score - max); returns their sum. The
 * sink counts as one more score; minus infinity for none.
 */
float exponentiate(float* scores, size_t count, float sink) {
  const size_t padded = roundUpToLanes(count);
  const float infinity = std::numeric_limits<float>::infinity();
  std::fill(scores + count, scores + padded, -infinity);
  Vec largest = splat(-infinity);
  for (size_t j = 0; j < padded; j += lanes) {
    const Vec s = load(scores + j);
    largest = s > largest ? s : largest;
  }
  const float top = std::max(max(largest), sink);
  const Vec shift = splat(top);
  Vec total = {};
  for (size_t j = 0; j < padded; j += lanes) {
    const Vec e = expNonPositive(load(scores + j) - shift);
    store(scores + j, e);
    total += e;
  }
  return sum(total) + std::exp(sink - top);
}

/** Adds weights[r][j] * values[j] for begin <= j < end to sums[r], `Vectors` vectors wide (or `part` lanes). */
template <int Rows, int Vectors, bool Part>
void addValues(const float* const* weights, const float* values, size_t begin, size_t end, size_t headDim, int part,
               float* const* sums) {
  Vec total[Rows][Vectors];
  for (int r = 0; r < Rows; ++r) {
    for (int i = 0; i < Vectors; ++i) total[r][i] = load(sums[r] + i * lanes);
  }
  for (size_t j = begin; j < end; ++j) {
    const float* value = values + j * headDim;
    Vec loaded[Vectors];
#pragma GCC unroll 4
    for (int i = 0; i < Vectors; ++i) loaded[i] = Part ? loadPart(value, part) : load(value + i * lanes);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      const Vec weight = splat(weights[r][j]);
#pragma GCC unroll 4
      for (int i = 0; i < Vectors; ++i) total[r][i] = fma(weight, loaded[i], total[r][i]);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int i = 0; i < Vectors; ++i) store(sums[r] + i * lanes, total[r][i]);
  }
}

/** As above, over the whole head. */
template <int Rows>
void addValuesOfHead(const float* const* weights, const float* values, size_t begin, size_t end, size_t headDim,
                     float* const* sums) {
  if (begin >= end) return;
  float* at[Rows];
  size_t d = 0;
  const auto advance = [&](size_t to) {
    d = to;
    for (int r = 0; r < Rows; ++r) at[r] = sums[r] + d;
  };
  advance(0);
  for (; d + 4 * lanes <= headDim; advance(d + 4 * lanes)) {
    addValues<Rows, 4, false>(weights, values + d, begin, end, headDim, 0, at);
  }
  if (d + 2 * lanes <= headDim) {
    addValues<Rows, 2, false>(weights, values + d, begin, end, headDim, 0, at);
    advance(d + 2 * lanes);
  }
  if (d + lanes <= headDim) {
    addValues<Rows, 1, false>(weights, values + d, begin, end, headDim, 0, at);
    advance(d + lanes);
  }
  if (d < headDim) {
    addValues<Rows, 1, true>(weights, values + d, begin, end, headDim, static_cast<int>(headDim - d), at);
  }
}

/** One row of a tile: its query, the keys it sees, and where its scores and its result grow. */
struct Row {
  float* query;   // (headDim) rotated and scaled
  float* scores;  // (keys of the tile), scores[j - firstKey of the tile]
  float* sum;     // (headDim, padded to whole vectors)
  size_t begin;   // first key seen, counted from the tile's first
  size_t end;     // one past the last key seen
};

/** Adds the values to up to registerRows rows: together where all of them see the keys, alone where only one does. */
template <int Rows>
void addValuesToRows(const Row* rows, const float* values, size_t headDim) {
  const float* weights[Rows];
  float* sums[Rows];
  size_t commonBegin = 0;
  size_t commonEnd = std::numeric_limits<size_t>::max();
  for (int r = 0; r < Rows; ++r) {
    weights[r] = rows[r].scores;
    sums[r] = rows[r].sum;
    commonBegin = std::max(commonBegin, rows[r].begin);
    commonEnd = std::min(commonEnd, rows[r].end);
  }
  commonEnd = std::max(commonBegin, commonEnd);
  for (int r = 0; r < Rows; ++r) {
    addValuesOfHead<1>(weights + r, values, rows[r].begin, std::min(rows[r].end, commonBegin), headDim, sums + r);
  }
  if (Rows > 1) addValuesOfHead<Rows>(weights, values, commonBegin, commonEnd, headDim, sums);
  else addValuesOfHead<1>(weights, values, commonBegin, commonEnd, headDim, sums);
  for (int r = 0; r < Rows; ++r) {
    addValuesOfHead<1>(weights + r, values, std::max(commonEnd, rows[r].begin), rows[r].end, headDim, sums + r);
  }
}

/** First key that the query at `position` sees. */
size_t firstKeyOf(size_t position, size_t slidingWindow) {
  return slidingWindow == 0 || position + 1 <= slidingWindow ? 0 : position + 1 - slidingWindow;
}

size_t tokensPerTile(size_t group) { return std::max<size_t>(1, rowsTogether / group); }

/** Floats that one tile of this sequence needs at most. */
size_t scratchFloats(const AttentionShape& shape, const AttentionSequence& sequence) {
  const size_t group = shape.numHeads / shape.numKvHeads;
  const size_t rows = group * std::min(tokensPerTile(group), sequence.numNew);
  const size_t scores = roundUpToLanes(sequence.numPast + sequence.numNew) + lanes;
  return rows * (2 * roundUpToLanes(shape.headDim) + scores);
}

void appendToCache(const AttentionCall& call, const AttentionSequence& sequence, size_t kvHead) {
  const AttentionShape& shape = call.shape;
  const size_t headDim = shape.headDim;
  for (size_t t = 0; t < sequence.numNew; ++t) {
    const size_t position = sequence.numPast + t;
    const size_t from = ((sequence.firstRow + t) * shape.numKvHeads + kvHead) * headDim;
    const size_t to = (kvHead * sequence.own.capacity + position - sequence.numShared) * headDim;
    const size_t angle = position * (headDim / 2);
    rotate(call.k + from, call.ropeCos + angle, call.ropeSin + angle, headDim, 1.0f, sequence.own.keys + to);
    std::memcpy(sequence.own.values + to, call.v + from, headDim * sizeof(float));
  }
}

/** Finds keys or values of a sequence's positions in one head. */
struct Places {
  const float* shared;
  const float* own;
  size_t numShared;
  size_t headDim;

  const float* at(size_t position) const {
    return position < numShared ? shared + position * headDim : own + (position - numShared) * headDim;
  }
};

/** Attends from the new tokens [firstToken, firstToken + numTokens) of one sequence through one key/value head. */
void attendTile(const AttentionCall& call, const AttentionSequence& sequence, size_t kvHead, size_t firstToken,
                size_t numTokens, float* scratch) {
  const AttentionShape& shape = call.shape;
  const size_t headDim = shape.headDim;
  const size_t group = shape.numHeads / shape.numKvHeads;
  const size_t numRows = numTokens * group;
  const size_t paddedDim = roundUpToLanes(headDim);

  const size_t firstPosition = sequence.numPast + firstToken;
  const size_t tileBegin = firstKeyOf(firstPosition, shape.slidingWindow);
  const size_t numKeys = firstPosition + numTokens - tileBegin;
  const size_t scoresStride = roundUpToLanes(numKeys) + lanes;  // a row may begin late: spare room for its padding
  const auto placesOf = [&](float* AttentionBlock::*part) {
    const auto headOf = [&](const AttentionBlock& block) {
      return block.*part + kvHead * block.capacity * headDim;
    };
    return Places{headOf(sequence.shared), headOf(sequence.own), sequence.numShared, headDim};
  };
  const Places keys = placesOf(&AttentionBlock::keys);
  const Places values = placesOf(&AttentionBlock::values);

  // Rows in the order (token, head of the group).
  float* const queries = scratch;
  float* const sums = queries + numRows * paddedDim;
  float* const scores = sums + numRows * paddedDim;
  std::fill(sums, scores, 0.0f);
  const auto rowAt = [&](size_t r) {
    const size_t position = firstPosition + r / group;
    return Row{queries + r * paddedDim, scores + r * scoresStride, sums + r * paddedDim,
               firstKeyOf(position, shape.slidingWindow) - tileBegin, position + 1 - tileBegin};
  };
  const auto headAt = [&](size_t r) {
    const size_t row = sequence.firstRow + firstToken + r / group;
    return (row * shape.numHeads + kvHead * group + r % group) * headDim;
  };

  for (size_t r = 0; r < numRows; ++r) {
    const size_t angle = (firstPosition + r / group) * (headDim / 2);
    rotate(call.q + headAt(r), call.ropeCos + angle, call.ropeSin + angle, headDim, shape.scale, rowAt(r).query);
  }
  for (size_t block = 0; block < numKeys; block += lanes) {
    size_t offsets[lanes];
    for (size_t j = 0; j < lanes; ++j) {
      offsets[j] = static_cast<size_t>(keys.at(tileBegin + std::min(block + j, numKeys - 1)) - call.cache);
    }
    for (size_t r = 0; r < numRows; ++r) {
      store(scores + r * scoresStride + block, dotKeys(queries + r * paddedDim, call.cache, offsets, headDim));
    }
  }
  // e^(score - max) now, the division by their sum at the end.
  float* const totals = queries;  // the queries have served
  for (size_t r = 0; r < numRows; ++r) {
    const Row row = rowAt(r);
    const float sink = call.sinks ? call.sinks[kvHead * group + r % group] : -std::numeric_limits<float>::infinity();
    totals[r] = exponentiate(row.scores + row.begin, row.end - row.begin, sink);
  }
  // Values in blocks that stay in the first-level cache while all rows take them.
  const size_t blockKeys = std::max<size_t>(1, valueBlockFloats / headDim);
  const size_t sharedKeys = std::max(sequence.numShared, tileBegin) - tileBegin;
  for (size_t block = 0, next; block < numKeys; block = next) {
    next = std::min(block + blockKeys, numKeys);
    if (block < sharedKeys) next = std::min(next, sharedKeys);
    const float* const blockValues = values.at(tileBegin + block);
    const auto rowInBlock = [&](size_t r) {
      Row row = rowAt(r);
      row.scores += block;
      row.begin = std::min(std::max(row.begin, block), next) - block;
      row.end = std::max(row.begin, std::min(row.end, next) - std::min(row.end, block));
      return row;
    };
    size_t r = 0;
    for (; r + registerRows <= numRows; r += registerRows) {
      Row rows[registerRows];
      for (int i = 0; i < registerRows; ++i) rows[i] = rowInBlock(r + i);
      addValuesToRows<registerRows>(rows, blockValues, headDim);
    }
    for (; r < numRows; ++r) {
      const Row row = rowInBlock(r);
      addValuesToRows<1>(&row, blockValues, headDim);
    }
  }
  for (size_t r = 0; r < numRows; ++r) {
    float* const out = call.out + headAt(r);
    const float* const sum = sums + r * paddedDim;
    for (size_t d = 0; d < headDim; ++d) out[d] = sum[d] / totals[r];
  }
}

}  // namespace

void attend(const AttentionCall& call, Workers& workers) {
  const AttentionShape& shape = call.shape;
  const size_t group = shape.numHeads / shape.numKvHeads;
  size_t neededFloats = 0;
  for (const AttentionSequence& sequence : call.sequences) {
    neededFloats = std::max(neededFloats, scratchFloats(shape, sequence));
  }
  workers.reserve(call.threads, neededFloats);
  const size_t numItems = call.sequences.size() * shape.numKvHeads;
  // What some share may be new itself: it has to be there before any of them reads it.
  const bool shares = std::any_of(call.sequences.begin(), call.sequences.end(),
                                  [](const AttentionSequence& sequence) { return sequence.numShared > 0; });
  if (shares) {
    workers.pool.run(call.threads, numItems, [&](size_t item, int) {
      appendToCache(call, call.sequences[item / shape.numKvHeads], item % shape.numKvHeads);
    });
  }
  workers.pool.run(call.threads, numItems, [&](size_t item, int participant) {
    const AttentionSequence& sequence = call.sequences[item / shape.numKvHeads];
    const size_t kvHead = item % shape.numKvHeads;
    float* const scratch = workers.room(participant);
    if (!shares) appendToCache(call, sequence, kvHead);
    const size_t step = tokensPerTile(group);
    for (size_t token = 0; token < sequence.numNew; token += step) {
      attendTile(call, sequence, kvHead, token, std::min(step, sequence.numNew - token), scratch);
    }
  });
}

}  // namespace specoffload::SPECOFFLOAD_LEVEL
