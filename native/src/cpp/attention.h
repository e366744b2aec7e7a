// What is asked of one layer's attention over a ragged batch.
#pragma once

#include <cstddef>
#include <vector>

namespace specoffload {

struct AttentionShape {
  size_t numHeads;
  size_t numKvHeads;     // divides numHeads
  size_t headDim;        // even
  size_t slidingWindow;  // keys a query sees, itself included; 0 for all
  float scale;           // of scores, before the softmax
};

/** Where some of a sequence's tokens lie. */
struct AttentionBlock {
  float* keys;    // (kvHead, capacity, headDim)
  float* values;  // (kvHead, capacity, headDim)
  size_t capacity;
};

struct AttentionSequence {
  AttentionBlock own;     // all tokens but the shared ones, in their order; new ones go here
  AttentionBlock shared;  // another sequence's
  size_t numShared;       // tokens at the beginning that lie there
  size_t numPast;         // shared ones included
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
  const float* cache;    // what all blocks lie in
  const float* sinks;    // (head): scores that take part in the softmax and have no value; null for none
  std::vector<AttentionSequence> sequences;
  int threads;
};

}  // namespace specoffload
