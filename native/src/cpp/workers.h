// The threads of one caller, and the memory that they compute in.
#pragma once

#include <cstddef>
#include <vector>

#include "pool.h"

namespace specoffload {

struct Workers {
  std::vector<std::vector<float>> scratch;  // by participant
  Pool pool;                                // destroyed first: its threads use the scratch

  /** Makes room for so many floats each: any helper the pool has may take part, not only the first `threads` of them. */
  void reserve(int threads, size_t floats);
  /** What was reserved, at the start of a cache line. */
  float* room(int participant);
};

}  // namespace specoffload
