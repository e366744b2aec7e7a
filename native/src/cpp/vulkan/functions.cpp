#include "functions.h"

#include <dlfcn.h>

#include "vulkan_error.h"

namespace specoffload::vulkan {

namespace {

GlobalFunctions loadFunctions() {
  // Never closed: drivers do not all survive it.
  void* const library = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw VulkanError("there is no Vulkan loader (libvulkan.so.1); install Debian's libvulkan1 and a driver");
  }
  GlobalFunctions all;
  all.vkGetInstanceProcAddr =
      reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
  if (all.vkGetInstanceProcAddr == nullptr) {
    throw VulkanError("the Vulkan loader (libvulkan.so.1) has no vkGetInstanceProcAddr; install a newer one");
  }
#define LOAD(name) all.name = reinterpret_cast<PFN_##name>(all.vkGetInstanceProcAddr(nullptr, #name));
  SPECOFFLOAD_GLOBAL_FUNCTIONS(LOAD)
#undef LOAD
  if (all.vkEnumerateInstanceVersion == nullptr) {
    throw VulkanError("the Vulkan loader knows Vulkan 1.0 only; expected 1.3, install a newer libvulkan1");
  }
  return all;
}

}  // namespace

const GlobalFunctions& globalFunctions() {
  static const GlobalFunctions all = loadFunctions();
  return all;
}

InstanceFunctions instanceFunctions(VkInstance instance) {
  const auto find = globalFunctions().vkGetInstanceProcAddr;
  InstanceFunctions all;
#define LOAD(name) all.name = reinterpret_cast<PFN_##name>(find(instance, #name));
  SPECOFFLOAD_INSTANCE_FUNCTIONS(LOAD)
  LOAD(vkCreateDebugUtilsMessengerEXT)
#undef LOAD
  all.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR =
      find(instance, "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
  return all;
}

DeviceFunctions deviceFunctions(const InstanceFunctions& instance, VkDevice device) {
  const auto find = instance.vkGetDeviceProcAddr;
  DeviceFunctions all;
#define LOAD(name) all.name = reinterpret_cast<PFN_##name>(find(device, #name));
  SPECOFFLOAD_DEVICE_FUNCTIONS(LOAD)
  LOAD(vkGetMemoryHostPointerPropertiesEXT)
  LOAD(vkGetCalibratedTimestampsEXT)
#undef LOAD
  return all;
}

}  // namespace specoffload::vulkan
