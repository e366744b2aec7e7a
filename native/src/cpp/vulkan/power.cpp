#include "power.h"

#include <dirent.h>
#include <dlfcn.h>

#include <chrono>
#include <fstream>

#include "../clock.h"

namespace specoffload::vulkan {

namespace {

/** Counters of cards move on every 20 to 100 ms. */
constexpr std::chrono::milliseconds interval{50};

/** NVML's entry points: 0 is success. Source: NVIDIA's NVML API reference, whose names and types are stable. */
struct Nvml {
  int (*init)() = nullptr;
  int (*handleByPciBusId)(const char*, void**) = nullptr;
  int (*totalEnergy)(void*, unsigned long long*) = nullptr;  // mJ since the driver was loaded
  int (*powerUsage)(void*, unsigned*) = nullptr;             // mW
};

bool loadNvml(const std::string& path, Nvml& nvml) {
  // Never closed: other threads may be in it when the process ends.
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return false;
  const auto find = [library](const char* name, auto& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
  };
  find("nvmlInit_v2", nvml.init);
  find("nvmlDeviceGetHandleByPciBusId_v2", nvml.handleByPciBusId);
  find("nvmlDeviceGetTotalEnergyConsumption", nvml.totalEnergy);
  find("nvmlDeviceGetPowerUsage", nvml.powerUsage);
  return nvml.init != nullptr && nvml.handleByPciBusId != nullptr && nvml.init() == 0;
}

std::unique_ptr<PowerSource> findInNvml(const PowerOptions& options) {
  Nvml nvml;
  void* card = nullptr;
  if (!loadNvml(options.library, nvml) || nvml.handleByPciBusId(options.pciAddress.c_str(), &card) != 0) return nullptr;
  auto source = std::make_unique<PowerSource>();
  source->name = "nvml";
  if (nvml.totalEnergy != nullptr) {
    source->readEnergy = [nvml, card](double& joules) {
      unsigned long long millijoules = 0;
      if (nvml.totalEnergy(card, &millijoules) != 0) return false;
      joules = 1e-3 * static_cast<double>(millijoules);
      return true;
    };
  }
  if (nvml.powerUsage != nullptr) {
    source->readPower = [nvml, card](double& watts) {
      unsigned milliwatts = 0;
      if (nvml.powerUsage(card, &milliwatts) != 0) return false;
      watts = 1e-3 * milliwatts;
      return true;
    };
  }
  return source;
}

/** A file with one number, in millionths. */
std::function<bool(double&)> millionthsIn(const std::string& path) {
  if (!std::ifstream(path)) return nullptr;
  return [path](double& value) {
    std::ifstream file(path);
    double millionths = 0;
    if (!(file >> millionths)) return false;
    value = 1e-6 * millionths;
    return true;
  };
}

/** Source: the kernel's Documentation/hwmon/sysfs-interface: power1_average and power1_input in uW, energy1_input in uJ. */
std::unique_ptr<PowerSource> findInHwmon(const PowerOptions& options) {
  const std::string folder = options.sysfs + "/bus/pci/devices/" + options.pciAddress + "/hwmon";
  DIR* const listing = opendir(folder.c_str());
  if (listing == nullptr) return nullptr;
  std::unique_ptr<PowerSource> source;
  for (const dirent* entry = readdir(listing); entry != nullptr && !source; entry = readdir(listing)) {
    const std::string chip = folder + "/" + entry->d_name + "/";
    PowerSource found{"hwmon", millionthsIn(chip + "energy1_input"), millionthsIn(chip + "power1_average")};
    if (!found.readPower) found.readPower = millionthsIn(chip + "power1_input");
    if (found.readEnergy || found.readPower) source = std::make_unique<PowerSource>(std::move(found));
  }
  closedir(listing);
  return source;
}

}  // namespace

std::unique_ptr<PowerSource> findPowerSource(const PowerOptions& options) {
  std::unique_ptr<PowerSource> source = findInNvml(options);
  if (!source) source = findInHwmon(options);
  if (!source) return nullptr;
  double value = 0;
  if (source->readEnergy && !source->readEnergy(value)) source->readEnergy = nullptr;
  if (source->readEnergy) return source;
  return source->readPower && source->readPower(value) ? std::move(source) : nullptr;
}

PowerMeter::PowerMeter(std::unique_ptr<PowerSource> source) : source_(std::move(source)) {
  sample();
  reader_ = std::thread([this] { readAgain(); });
}

PowerMeter::~PowerMeter() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    isStopping_ = true;
  }
  changed_.notify_all();
  reader_.join();
}

void PowerMeter::readAgain() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!changed_.wait_for(lock, interval, [this] { return isStopping_; })) sample();
}

std::vector<double> PowerMeter::samples() {
  std::lock_guard<std::mutex> lock(mutex_);
  sample();
  return samples_;
}

/** Watts are taken to go straight from one reading to the next; what cannot be read now is left out. */
void PowerMeter::sample() {
  double value = 0;
  if (!(source_->readEnergy ? source_->readEnergy(value) : source_->readPower(value))) return;
  const double now = nowSeconds();
  double joules = 0;
  if (source_->readEnergy) {
    if (samples_.empty()) firstJoules_ = value;
    joules = value - firstJoules_;
  } else {
    if (!samples_.empty()) {
      joules = samples_.back() + (now - samples_[samples_.size() - 2]) * (lastWatts_ + value) / 2;
    }
    lastWatts_ = value;
  }
  samples_.push_back(now);
  samples_.push_back(joules);
}

}  // namespace specoffload::vulkan
