// What a card draws, from whoever knows it: NVIDIA's management library, or the kernel's hwmon files.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace specoffload::vulkan {

/** A way to read a card's energy. */
struct PowerSource {
  std::string name;
  /** Joules since some moment; absent where only watts are told. False: it cannot be told now. */
  std::function<bool(double& joules)> readEnergy;
  std::function<bool(double& watts)> readPower;
};

struct PowerOptions {
  /** As in /sys/bus/pci/devices: domain, bus, device and function. */
  std::string pciAddress;
  /** Of NVML. */
  std::string library;
  std::string sysfs;
};

/** Null where nobody tells. */
std::unique_ptr<PowerSource> findPowerSource(const PowerOptions& options);

/** Reads a source again and again, on a thread that sleeps meanwhile. */
class PowerMeter {
public:
  explicit PowerMeter(std::unique_ptr<PowerSource> source);
  ~PowerMeter();
  PowerMeter(const PowerMeter&) = delete;
  PowerMeter& operator=(const PowerMeter&) = delete;

  const std::string& sourceName() const { return source_->name; }
  /** Reads once more. @returns moments on the host's clock and joules since the first of them, one after the other */
  std::vector<double> samples();

private:
  void readAgain();
  void sample();

  std::unique_ptr<PowerSource> source_;
  double firstJoules_ = 0;  // of a counter
  double lastWatts_ = 0;
  std::vector<double> samples_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool isStopping_ = false;
  std::thread reader_;  // last: it uses the others
};

}  // namespace specoffload::vulkan
