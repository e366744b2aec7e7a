// The device's clock in the seconds of the host's.
#pragma once

#include "gpu.h"

namespace specoffload::vulkan {

class DeviceClock {
public:
  DeviceClock(Gpu& gpu, uint32_t timestampBits);

  /** Whether the device's ticks can be told in seconds of the host. */
  bool isCalibrated() const { return isCalibrated_; }
  /** From one moment to a later one. */
  double secondsBetween(uint64_t earlier, uint64_t later) const;
  /** Of a moment not long ago. */
  double secondsOf(uint64_t ticks);

private:
  void calibrate();

  Gpu& gpu_;
  uint64_t mask_;
  bool isCalibrated_ = false;
  uint64_t ticks_ = 0;
  double seconds_ = 0;
};

}  // namespace specoffload::vulkan
