// A logical device with its queues and its kernels, compiled once; shared by all runs of the process.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "instance.h"

namespace specoffload::vulkan {

/** Kinds of work that time is told by; the first is what no kernel does. */
constexpr uint8_t copyKind = 0;
constexpr size_t mostKinds = 16;

/** A kernel in SPIR-V, made for certain constants: entry `main`, push constants alone. */
struct KernelSource {
  std::string name;
  std::vector<uint32_t> words;
  /** Of the specialisation constants 0, 1, 2, ... */
  std::vector<uint32_t> constants;
  /** What its time is counted as, below `mostKinds`. */
  uint8_t kind = copyKind;
};

struct GpuOptions {
  uint32_t index = 0;
  bool validates = false;
  /** Takes copies and arithmetic to one queue, as on devices that have no other. */
  bool usesOneFamily = false;
};

/** Push constants of every kernel; what each device takes at least. */
constexpr uint32_t pushConstantBytes = 128;

/** A queue of the device: two lanes may share one, and only one thread at a time may submit. */
struct HardwareQueue {
  VkQueue queue = VK_NULL_HANDLE;
  uint32_t family = 0;
  uint32_t timestampBits = 0;
  std::mutex mutex;
};

class Gpu {
public:
  /** @throws VulkanError when there is no such device, or it lacks something. */
  Gpu(const GpuOptions& options, const std::vector<uint8_t>& cache);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const DeviceFacts& facts() const { return facts_; }
  /** Of the device's memory, what this process could have now; all of it where the driver does not tell. */
  VkDeviceSize freeBytes() const { return instance_->freeBytes(physical_).value_or(facts_.memoryBytes); }
  const DeviceFunctions& functions() const { return vk_; }
  VkDevice device() const { return device_; }
  const VkPhysicalDeviceMemoryProperties& memory() const { return memory_; }
  HardwareQueue& computeQueue() { return compute_; }
  HardwareQueue& copyQueue() { return hasCopyQueue() ? copy_ : compute_; }
  bool hasCopyQueue() const { return copy_.queue != VK_NULL_HANDLE; }
  /** Of both queues, each once. */
  const std::vector<uint32_t>& families() const { return families_; }
  VkPipelineLayout pipelineLayout() const { return layout_; }
  /** Compiles what is not yet; kernels of one name and the same constants are one. @returns their numbers */
  std::vector<uint32_t> prepare(const std::vector<KernelSource>& kernels);
  /** Of a kernel that is compiled, whose code nobody asks for any more. */
  std::optional<uint32_t> numberOf(const KernelSource& kernel) const;
  VkPipeline kernel(size_t index) const;
  uint8_t kindOf(size_t index) const;
  size_t numKernels() const;
  /** What compiling has found out, for the next process. */
  std::vector<uint8_t> pipelineCache() const;
  /** Set when the device was lost: it serves nobody any more. */
  bool isLost() const { return isLost_; }
  void lose() { isLost_ = true; }

private:
  void openDevice(bool usesOneFamily);
  void openPipelines(const std::vector<uint8_t>& cache);
  VkPipeline compile(const KernelSource& kernel);
  uint32_t add(const KernelSource& kernel, VkPipeline pipeline);

  std::shared_ptr<Instance> instance_;
  VkPhysicalDevice physical_ = VK_NULL_HANDLE;
  DeviceFacts facts_;
  DeviceFunctions vk_;
  VkPhysicalDeviceMemoryProperties memory_{};
  VkDevice device_ = VK_NULL_HANDLE;
  HardwareQueue compute_;
  HardwareQueue copy_;
  std::vector<uint32_t> families_;
  VkPipelineCache cache_ = VK_NULL_HANDLE;
  VkPipelineLayout layout_ = VK_NULL_HANDLE;
  /** Held while kernels compile, which takes long; the other by whoever looks one up. */
  std::mutex compileMutex_;
  mutable std::mutex pipelinesMutex_;
  std::vector<VkPipeline> pipelines_;
  std::vector<uint8_t> kinds_;  // of pipelines
  std::map<std::pair<std::string, std::vector<uint32_t>>, uint32_t> pipelineNumbers_;
  std::atomic<bool> isLost_{false};
};

}  // namespace specoffload::vulkan
