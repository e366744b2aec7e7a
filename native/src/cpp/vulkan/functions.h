// The entry points of Vulkan, found at run time: the addon starts where there is no Vulkan.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include <string>

namespace specoffload::vulkan {

// clang-format off
#define SPECOFFLOAD_GLOBAL_FUNCTIONS(each) \
  each(vkCreateInstance) each(vkEnumerateInstanceLayerProperties) each(vkEnumerateInstanceExtensionProperties) \
  each(vkEnumerateInstanceVersion)

#define SPECOFFLOAD_INSTANCE_FUNCTIONS(each) \
  each(vkDestroyInstance) each(vkEnumeratePhysicalDevices) each(vkGetPhysicalDeviceProperties2) \
  each(vkGetPhysicalDeviceFeatures2) each(vkGetPhysicalDeviceMemoryProperties2) \
  each(vkGetPhysicalDeviceQueueFamilyProperties) each(vkEnumerateDeviceExtensionProperties) each(vkCreateDevice) \
  each(vkGetDeviceProcAddr)

#define SPECOFFLOAD_DEVICE_FUNCTIONS(each) \
  each(vkDestroyDevice) each(vkDeviceWaitIdle) each(vkGetDeviceQueue) each(vkQueueSubmit2) \
  each(vkAllocateMemory) each(vkFreeMemory) each(vkMapMemory) \
  each(vkCreateBuffer) each(vkDestroyBuffer) each(vkBindBufferMemory) each(vkGetBufferMemoryRequirements) \
  each(vkGetBufferDeviceAddress) \
  each(vkCreateShaderModule) each(vkDestroyShaderModule) each(vkCreatePipelineLayout) each(vkDestroyPipelineLayout) \
  each(vkCreatePipelineCache) each(vkDestroyPipelineCache) each(vkGetPipelineCacheData) \
  each(vkCreateComputePipelines) each(vkDestroyPipeline) \
  each(vkCreateCommandPool) each(vkDestroyCommandPool) each(vkAllocateCommandBuffers) \
  each(vkBeginCommandBuffer) each(vkEndCommandBuffer) \
  each(vkCmdPipelineBarrier2) each(vkCmdCopyBuffer) each(vkCmdFillBuffer) each(vkCmdBindPipeline) \
  each(vkCmdPushConstants) each(vkCmdDispatch) each(vkCmdWriteTimestamp2) each(vkResetQueryPool) \
  each(vkCreateQueryPool) each(vkDestroyQueryPool) each(vkGetQueryPoolResults) \
  each(vkCreateSemaphore) each(vkDestroySemaphore) each(vkWaitSemaphores)
// clang-format on

#define SPECOFFLOAD_DECLARE(name) PFN_##name name = nullptr;

struct GlobalFunctions {
  PFN_vkGetInstanceProcAddr vkGetInstanceProcAddr = nullptr;
  SPECOFFLOAD_GLOBAL_FUNCTIONS(SPECOFFLOAD_DECLARE)
};

/** Null where an optional extension is not there. */
struct InstanceFunctions {
  SPECOFFLOAD_INSTANCE_FUNCTIONS(SPECOFFLOAD_DECLARE)
  PFN_vkCreateDebugUtilsMessengerEXT vkCreateDebugUtilsMessengerEXT = nullptr;
  /** Of a type that older headers do not have. */
  PFN_vkVoidFunction vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR = nullptr;
};

struct DeviceFunctions {
  SPECOFFLOAD_DEVICE_FUNCTIONS(SPECOFFLOAD_DECLARE)
  PFN_vkGetMemoryHostPointerPropertiesEXT vkGetMemoryHostPointerPropertiesEXT = nullptr;
  PFN_vkGetCalibratedTimestampsEXT vkGetCalibratedTimestampsEXT = nullptr;
};

#undef SPECOFFLOAD_DECLARE

/** The loader's, opened once. @throws VulkanError when there is none. */
const GlobalFunctions& globalFunctions();

InstanceFunctions instanceFunctions(VkInstance instance);

DeviceFunctions deviceFunctions(const InstanceFunctions& instance, VkDevice device);

}  // namespace specoffload::vulkan
