#include "vulkan_error.h"

namespace specoffload::vulkan {

std::string wordsOf(VkResult result) {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY: return "out of host memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY: return "out of device memory";
    case VK_ERROR_DEVICE_LOST: return "the device was lost";
    case VK_ERROR_INITIALIZATION_FAILED: return "the driver could not start";
    case VK_ERROR_INCOMPATIBLE_DRIVER: return "no driver is installed";
    case VK_ERROR_LAYER_NOT_PRESENT: return "a layer is not installed";
    case VK_ERROR_EXTENSION_NOT_PRESENT: return "an extension is not there";
    case VK_ERROR_FEATURE_NOT_PRESENT: return "a feature is not there";
    case VK_ERROR_TOO_MANY_OBJECTS: return "too many objects";
    case VK_ERROR_INVALID_EXTERNAL_HANDLE: return "the memory cannot be imported";
    default: return "error " + std::to_string(result);
  }
}

void check(VkResult result, const std::string& what) {
  if (result < VK_SUCCESS) throw VulkanError(what + ": " + wordsOf(result));
}

}  // namespace specoffload::vulkan
