// The way into Vulkan, and the devices that it knows.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "functions.h"
#include "matrices.h"

namespace specoffload::vulkan {

/** What is asked of a device, and what it says of itself. */
struct DeviceFacts {
  std::string name;
  std::string driver;
  VkPhysicalDeviceType type = VK_PHYSICAL_DEVICE_TYPE_OTHER;
  uint32_t apiVersion = 0;
  VkDeviceSize memoryBytes = 0;  // of all heaps that are the device's own
  /** Of that memory, what this process could still have, where the driver tells. */
  std::optional<VkDeviceSize> freeBytes;
  /** Domain, bus, device and function; empty where the driver does not tell, or there is none. */
  std::string pciAddress;
  VkDeviceSize largestAllocationBytes = 0;
  VkDeviceSize importAlignmentBytes = 0;  // 0: memory of the process cannot be imported
  uint32_t leastSubgroupSize = 0;
  uint32_t sharedMemoryBytes = 0;
  uint32_t workgroupInvocations = 0;
  uint32_t workgroups = 0;  // along the first axis
  float timestampPeriodNanoseconds = 0;
  std::vector<VkQueueFamilyProperties> families;
  std::vector<std::string> features;  // that are there and used
  std::vector<std::string> missing;   // that are needed and not there
  bool hasCalibratedTimestamps = false;
  std::optional<Matrices> matrices;
};

class Instance {
public:
  /** @param validates whether the Khronos layer watches, synchronisation included. @throws VulkanError */
  explicit Instance(bool validates);
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  const InstanceFunctions& functions() const { return functions_; }
  const std::vector<VkPhysicalDevice>& devices() const { return devices_; }
  DeviceFacts describe(VkPhysicalDevice device) const;
  /** As in `DeviceFacts`, now. */
  std::optional<VkDeviceSize> freeBytes(VkPhysicalDevice device) const;

private:
  // Never destroyed, like the loader: lanes' threads may outlive whoever asked.
  VkInstance instance_ = VK_NULL_HANDLE;
  InstanceFunctions functions_;
  std::vector<VkPhysicalDevice> devices_;
};

/** The process's instance, made when it is first asked for. */
std::shared_ptr<Instance> sharedInstance(bool validates);

/** What the layers have said since this was last asked. */
std::vector<std::string> takeMessages();

}  // namespace specoffload::vulkan
