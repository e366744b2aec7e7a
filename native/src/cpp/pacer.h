// Paces transfers to a rate by reserving each one its slice of time on a virtual link. pacer.ts is its twin.
#pragma once

#include <algorithm>
#include <cstddef>

namespace specoffload {

/** The slice of the virtual link that a transfer occupies. */
struct LinkSlot {
  double startSeconds;
  double endSeconds;
};

/**
 * The link is busy until `freeSeconds_`. A transfer occupies it from then on, or from the moment it was asked for if
 * that is later; so a thread that wakes up late from its wait does not slow the link down. Not thread-safe: the
 * reader calls it under its lock.
 */
class Pacer {
public:
  explicit Pacer(double bytesPerSecond) : bytesPerSecond_(bytesPerSecond) {}

  bool paces() const { return bytesPerSecond_ > 0; }

  LinkSlot reserve(size_t bytes, double askedSeconds, double nowSeconds) {
    // A disk slower than the cap must not save up credit for a burst later; forgive scheduling delays only.
    const double earliestSeconds = std::max(askedSeconds, nowSeconds - forgivenSeconds);
    const double startSeconds = std::max(freeSeconds_, earliestSeconds);
    freeSeconds_ = startSeconds + static_cast<double>(bytes) / bytesPerSecond_;
    return {startSeconds, freeSeconds_};
  }

private:
  static constexpr double forgivenSeconds = 0.02;  // several time slices of a busy machine
  double bytesPerSecond_;
  double freeSeconds_ = 0;
};

}  // namespace specoffload
