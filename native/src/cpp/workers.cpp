#include "workers.h"

#include <memory>

namespace specoffload {

/** A vector that lies across two cache lines takes twice as long to load. */
constexpr size_t lineFloats = 16;

void Workers::reserve(int threads, size_t floats) {
  if (scratch.size() < static_cast<size_t>(threads)) scratch.resize(threads);
  for (auto& each : scratch) {
    if (each.size() < floats + lineFloats) each.resize(floats + lineFloats);
  }
}

float* Workers::room(int participant) {
  void* start = scratch[participant].data();
  size_t space = scratch[participant].size() * sizeof(float);
  return static_cast<float*>(std::align(lineFloats * sizeof(float), sizeof(float), start, space));
}

}  // namespace specoffload
