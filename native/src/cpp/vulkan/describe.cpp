// What a device can do, and what of it is used.
#include <algorithm>
#include <cstdio>

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

/** The largest heap of the device's own memory, and what is left of it, where the driver tells. */
struct OwnMemory {
  VkDeviceSize bytes = 0;
  std::optional<VkDeviceSize> freeBytes;
};

OwnMemory ownMemory(const InstanceFunctions& vk, VkPhysicalDevice device, bool tellsBudget) {
  VkPhysicalDeviceMemoryBudgetPropertiesEXT budget{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT};
  VkPhysicalDeviceMemoryProperties2 memory{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_PROPERTIES_2};
  if (tellsBudget) memory.pNext = &budget;
  vk.vkGetPhysicalDeviceMemoryProperties2(device, &memory);
  OwnMemory own;
  for (uint32_t i = 0; i < memory.memoryProperties.memoryHeapCount; ++i) {
    const VkMemoryHeap& heap = memory.memoryProperties.memoryHeaps[i];
    if ((heap.flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) == 0 || heap.size <= own.bytes) continue;
    own.bytes = heap.size;
    if (tellsBudget) own.freeBytes = budget.heapBudget[i] - std::min(budget.heapBudget[i], budget.heapUsage[i]);
  }
  return own;
}

std::string pciAddressOf(const VkPhysicalDevicePCIBusInfoPropertiesEXT& pci) {
  char text[32];
  std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", pci.pciDomain, pci.pciBus, pci.pciDevice, pci.pciFunction);
  return text;
}

bool hasName(const std::vector<std::string>& names, const char* name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::optional<VkDeviceSize> Instance::freeBytes(VkPhysicalDevice device) const {
  const bool tellsBudget = hasName(extensionsOf(functions_, device), VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  return ownMemory(functions_, device, tellsBudget).freeBytes;
}

DeviceFacts Instance::describe(VkPhysicalDevice device) const {
  const InstanceFunctions& vk = functions_;
  const std::vector<std::string> extensions = extensionsOf(vk, device);
  const auto has = [&](const char* name) { return hasName(extensions, name); };
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
  VkPhysicalDevicePCIBusInfoPropertiesEXT pci{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PCI_BUS_INFO_PROPERTIES_EXT,
                                              properties13.pNext};
  const bool tellsBus = has(VK_EXT_PCI_BUS_INFO_EXTENSION_NAME);
  if (tellsBus) properties13.pNext = &pci;
  vk.vkGetPhysicalDeviceProperties2(device, &properties);

  DeviceFacts facts;
  facts.name = properties.properties.deviceName;
  facts.type = properties.properties.deviceType;
  facts.apiVersion = properties.properties.apiVersion;
  const OwnMemory own = ownMemory(vk, device, has(VK_EXT_MEMORY_BUDGET_EXTENSION_NAME));
  facts.memoryBytes = own.bytes;
  facts.freeBytes = own.freeBytes;
  if (tellsBus) facts.pciAddress = pciAddressOf(pci);
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
  use(facts.freeBytes.has_value(), VK_EXT_MEMORY_BUDGET_EXTENSION_NAME);
  use(tellsBus, VK_EXT_PCI_BUS_INFO_EXTENSION_NAME);
  use(facts.hasCalibratedTimestamps, VK_EXT_CALIBRATED_TIMESTAMPS_EXTENSION_NAME);
  if (properties13.minSubgroupSize == properties13.maxSubgroupSize) {
    facts.matrices = findMatrices(vk, device, extensions, properties13.minSubgroupSize);
  }
  use(facts.matrices.has_value(), "VK_KHR_cooperative_matrix");
  return facts;
}

}  // namespace specoffload::vulkan
