#include "workers.h"

namespace specoffload {

void Workers::reserve(int threads, size_t floats) {
  if (scratch.size() < static_cast<size_t>(threads)) scratch.resize(threads);
  for (auto& each : scratch) {
    if (each.size() < floats) each.resize(floats);
  }
}

}  // namespace specoffload
