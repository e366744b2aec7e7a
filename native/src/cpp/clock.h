// The clock that process.hrtime reads, in seconds.
#pragma once

#include <time.h>

namespace specoffload {

inline double nowSeconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

}  // namespace specoffload
