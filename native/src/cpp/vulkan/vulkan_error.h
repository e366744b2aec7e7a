// What Vulkan refuses, as a sentence for whoever asked.
#pragma once

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include <stdexcept>
#include <string>

namespace specoffload::vulkan {

/** Becomes a JavaScript Error with `code` "VULKAN"; its message is meant for users. */
class VulkanError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

/** "out of device memory", "the device was lost", or the number. */
std::string wordsOf(VkResult result);

/** @throws VulkanError `${what}: ${words}` unless it is a success. */
void check(VkResult result, const std::string& what);

}  // namespace specoffload::vulkan
