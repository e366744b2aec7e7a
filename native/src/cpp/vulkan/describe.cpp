// What a device can do, and what of it is used.
#include <algorithm>
#include <cstring>

#include "instance.h"

namespace specoffload::vulkan {

namespace {

std::vector<std::string> extensionsOf(const InstanceFunctions& vk, VkPhysicalDevice device) {
  uint32_t count = 0;
  vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, nullptr);
  std::vector<VkExtensionProperties> all(count);
  vk.vkEnumerateDeviceExtensionProperties(device, nullptr, &count, all.data());
  std::vector<std::string> names;
  for (const VkExtensionProperties& extension : all) names.emplace_back(extension.extensionName);
  return names;
}

VkDeviceSize ownMemory(const InstanceFunctions& vk, VkPhysicalDevice device) {
  VkPhysicalDeviceMemoryProperties2 memory{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  vk.vkGetPhysicalDeviceMemoryProperties2(device, &memory);
  VkDeviceSize bytes = 0;
  for (uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount; ++i) {
    const VkMemoryHeap& heap = memory.memoryProperties.memoryHeaps[i];
    if ((heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) != 0) bytes = std::max(bytes, heap.size);
  }
  return bytes;
}

}  // namespace

DeviceFacts Instance::describe(VkPhysicalDevice device) const {
  const InstanceFunctions& vk = functions_;
  const std::vector<std::string> extensions = extensionsOf(vk, device);
  const auto has = [&](const char* name) {
    return std::find(extensions.begin(), extensions.end(), name) != extensions.end();
  };
  VkPhysicalDeviceExternalMemoryHostPropertiesEXT import{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_EXTERNAL_MEMORY_HOST_PROPERTIES_EXT};
  VkPhysicalDeviceVulkan13Properties properties13{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_PROPERTIES};
  VkPhysicalDeviceVulkan12Properties properties12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_PROPERTIES,
                                                  &properties13};
  VkPhysicalDeviceVulkan11Properties properties11{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_PROPERTIES,
                                                  &properties12};
  VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &properties11};
  const bool imports = has(VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
  if (imports) properties13.pNext = &import;
  vk.vkGetPhysicalDeviceProperties2(device, &properties);

  DeviceFacts facts;
  facts.name = properties.properties.deviceName;
  facts.type = properties.properties.deviceType;
  facts.apiVersion = properties.properties.apiVersion;
  facts.memoryBytes = ownMemory(vk, device);
  uint32_t numFamilies = 0;
  vk.vkGetPhysicalDeviceQueueFamilyProperties(device, &numFamilies, nullptr);
  facts.families.resize(numFamilies);
  vk.vkGetPhysicalDeviceQueueFamilyProperties(device, &numFamilies, facts.families.data());
  if (facts.apiVersion < VK_API_VERSION_1_3) {
    facts.missing.emplace_back("Vulkan 1.3");
    return facts;
  }
  facts.driver = std::string(properties12.driverName) + " " + properties12.driverInfo;
  facts.largestAllocationBytes = std::min(properties11.maxMemoryAllocationSize, properties13.maxBufferSize);
  facts.importAlignmentBytes = imports ? import.minImportedHostPointerAlignment : 0;
  facts.leastSubgroupSize = properties13.minSubgroupSize;
  facts.sharedMemoryBytes = properties.properties.limits.maxComputeSharedMemorySize;
  facts.workgroupInvocations = std::min(properties.properties.limits.maxComputeWorkGroupInvocations,
                                        properties.properties.limits.maxComputeWorkGroupSize[0]);
  facts.workgroups = properties.properties.limits.maxComputeWorkGroupCount[0];
  facts.timestampPeriodNanoseconds = properties.properties.limits.timestampPeriod;
  facts.hasCalibratedTimestamps = has(VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME);

  VkPhysicalDeviceVulkan13Features features13{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
  VkPhysicalDeviceVulkan12Features features12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, &features13};
  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &features12};
  vk.vkGetPhysicalDeviceFeatures2(device, &features);
  const auto need = [&](VkBool32 isThere, const char* name) {
    (isThere ? facts.features : facts.missing).emplace_back(name);
  };
  need(features12.timelineSemaphore, "timelineSemaphore");
  need(features12.hostQueryReset, "hostQueryReset");
  need(features12.bufferDeviceAddress, "bufferDeviceAddress");
  need(features13.synchronization2, "synchronization2");
  need(features.features.shaderInt64, "shaderInt64");
  constexpr VkSubgroupFeatureFlags reductions = VK_SUBGROUP_FEATURE_BASIC_BIT | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT;
  need((properties11.subgroupSupportedOperations & reductions) == reductions &&
           (properties11.subgroupSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0,
       "subgroup arithmetic");
  const auto use = [&](bool isThere, const char* name) {
    if (isThere) facts.features.emplace_back(name);
  };
  use(facts.importAlignmentBytes > 0, VK_EXT_EXTERNAL_MEMORY_HOST_EXTENSION_NAME);
  use(facts.hasCalibratedTimestamps, VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME);
  if (properties13.minSubgroupSize == properties13.maxSubgroupSize) {
    facts.matrices = findMatrices(vk, device, extensions, properties13.minSubgroupSize);
  }
  use(facts.matrices.has_value(), "VK_KHR_cooperative_matrix");
  return facts;
}

}  // namespace specoffload::vulkan
