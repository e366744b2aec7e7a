// One layer's attention over a ragged batch: rotate, append to the cache, attend causally.
#pragma once

#include <cstddef>
#include <vector>

#include "workers.h"

namespace specoffload {

struct AttentionShape {
  size_t numHeads;
  size_t numKvHeads;     // divides numHeads
  size_t headDim;        // even
  size_t slidingWindow;  // keys a query sees, itself included; 0 for all
  float scale;           // of scores, before the softmax
};

struct AttentionSequence {
  float* keys;    // (kvHead, capacity, headDim)
  float* values;  // (kvHead, capacity, headDim)
  size_t capacity;
  size_t numPast;
  size_t numNew;
  size_t firstRow;  // of this sequence's new tokens in q, k, v and out
};

struct AttentionCall {
  AttentionShape shape;
  const float* q;        // (row, head, headDim)
  const float* k;        // (row, kvHead, headDim)
  const float* v;        // (row, kvHead, headDim)
  float* out;            // (row, head, headDim)
  const float* ropeCos;  // (position, headDim / 2)
  const float* ropeSin;  // (position, headDim / 2)
  const float* sinks;    // (head): scores that take part in the softmax and have no value; null for none
  std::vector<AttentionSequence> sequences;
  int threads;
};

/** Trusts its arguments. A row's bits depend neither on other rows nor on `threads`. Mutates the sequences' cache. */
void attend(const AttentionCall& call, Workers& workers);

}  // namespace specoffload
