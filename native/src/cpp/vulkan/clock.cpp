#include "clock.h"

#include "../clock.h"

namespace specoffload::vulkan {

namespace {

/** Two clocks drift apart by some millionths. */
constexpr double calibrationSeconds = 1;

}  // namespace

DeviceClock::DeviceClock(Gpu& gpu, uint32_t timestampBits)
    : gpu_(gpu), mask_(timestampBits >= 64 ? UINT64_MAX : (uint64_t{1} << timestampBits) - 1) {
  if (timestampBits > 0 && gpu.facts().hasCalibratedTimestamps) calibrate();
}

void DeviceClock::calibrate() {
  VkCalibratedTimestampInfoEXT infos[2] = {{VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT},
                                           {VK_STRUCTURE_TYPE_CALIBRATED_TIMESTAMP_INFO_EXT}};
  infos[0].timeDomain = VK_TIME_DOMAIN_DEVICE_EXT;
  infos[1].timeDomain = VK_TIME_DOMAIN_CLOCK_MONOTONIC_EXT;
  uint64_t both[2];
  uint64_t deviation = 0;
  const VkResult result =
      gpu_.functions().vkGetCalibratedTimestampsEXT(gpu_.device(), 2, infos, both, &deviation);
  if (result != VK_SUCCESS) return;
  ticks_ = both[0];
  seconds_ = 1e-9 * static_cast<double>(both[1]);
  isCalibrated_ = true;
}

double DeviceClock::secondsBetween(uint64_t earlier, uint64_t later) const {
  return 1e-9 * gpu_.facts().timestampPeriodNanoseconds * static_cast<double>((later - earlier) & mask_);
}

double DeviceClock::secondsOf(uint64_t ticks) {
  if (nowSeconds() - seconds_ > calibrationSeconds) calibrate();
  const uint64_t since = (ticks - ticks_) & mask_;
  const uint64_t until = (ticks_ - ticks) & mask_;
  const double difference = since <= until ? static_cast<double>(since) : -static_cast<double>(until);
  return seconds_ + 1e-9 * gpu_.facts().timestampPeriodNanoseconds * difference;
}

}  // namespace specoffload::vulkan
