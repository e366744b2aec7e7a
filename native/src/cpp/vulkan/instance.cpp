#include "instance.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "vulkan_error.h"

namespace specoffload::vulkan {

namespace {

constexpr const char* validationLayer = "VK_LAYER_KHRONOS_validation";

struct Messages {
  std::mutex mutex;
  std::vector<std::string> all;
};

Messages& messages() {
  static Messages* instance = new Messages;
  return *instance;
}

VKAPI_ATTR VkBool32 VKAPI_CALL keepMessage(VkDebugUtilsMessageSeverityFlagBitsEXT, VkDebugUtilsMessageTypeFlagsEXT,
                                           const VkDebugUtilsMessengerCallbackDataEXT* data, void*) {
  Messages& kept = messages();
  std::lock_guard<std::mutex> lock(kept.mutex);
  kept.all.emplace_back(data->pMessage);
  return VK_FALSE;
}

bool hasLayer(const char* name) {
  uint32_t count = 0;
  globalFunctions().vkEnumerateInstanceLayerProperties(&count, nullptr);
  std::vector<VkLayerProperties> layers(count);
  globalFunctions().vkEnumerateInstanceLayerProperties(&count, layers.data());
  return std::any_of(layers.begin(), layers.end(),
                     [&](const VkLayerProperties& layer) { return std::strcmp(layer.layerName, name) == 0; });
}

VkInstance createInstance(bool validates) {
  if (validates && !hasLayer(validationLayer)) {
    throw VulkanError("the validation layer is not installed; install Debian's vulkan-validationlayers");
  }
  uint32_t version = 0;
  globalFunctions().vkEnumerateInstanceVersion(&version);
  if (version < VK_API_VERSION_1_3) {
    throw VulkanError("the Vulkan loader is older than 1.3; install a newer libvulkan1");
  }
  VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO};
  application.pApplicationName = "specoffload";
  application.apiVersion = VK_API_VERSION_1_3;
  VkValidationFeatureEnableEXT synchronization = VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT;
  VkValidationFeaturesEXT features{VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT};
  features.enabledValidationFeatureCount = 1;
  features.pEnabledValidationFeatures = &synchronization;
  const char* extensions[] = {VK_EXT_DEBUG_UTILS_EXTENSION_NAME, VK_EXT_VALIDATION_FEATURES_EXTENSION_NAME};
  VkInstanceCreateInfo info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
  info.pApplicationInfo = &application;
  if (validates) {
    info.pNext = &features;
    info.enabledLayerCount = 1;
    info.ppEnabledLayerNames = &validationLayer;
    info.enabledExtensionCount = 2;
    info.ppEnabledExtensionNames = extensions;
  }
  VkInstance instance = VK_NULL_HANDLE;
  check(globalFunctions().vkCreateInstance(&info, nullptr, &instance),
        "Vulkan does not start here (for a processor alone, Debian's mesa-vulkan-drivers has a driver)");
  return instance;
}

/** Cards before what shares the host's memory, and a driver for the processor last, whatever order the loader has. */
int rankOf(const InstanceFunctions& vk, VkPhysicalDevice device) {
  VkPhysicalDeviceProperties2 properties{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
  vk.vkGetPhysicalDeviceProperties2(device, &properties);
  switch (properties.properties.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: return 1;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: return 2;
    case VK_PHYSICAL_DEVICE_TYPE_CPU: return 4;
    default: return 3;
  }
}

}  // namespace

Instance::Instance(bool validates) : instance_(createInstance(validates)), functions_(instanceFunctions(instance_)) {
  if (validates && functions_.vkCreateDebugUtilsMessengerEXT != nullptr) {
    VkDebugUtilsMessengerCreateInfoEXT info{VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT};
    info.messageSeverity =
        VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT;
    info.messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT | VK_DEBUG_UTILS_MESSAGE_TYPE_GENERAL_BIT_EXT;
    info.pfnUserCallback = keepMessage;
    VkDebugUtilsMessengerEXT messenger = VK_NULL_HANDLE;
    functions_.vkCreateDebugUtilsMessengerEXT(instance_, &info, nullptr, &messenger);
  }
  uint32_t count = 0;
  functions_.vkEnumeratePhysicalDevices(instance_, &count, nullptr);
  devices_.resize(count);
  functions_.vkEnumeratePhysicalDevices(instance_, &count, devices_.data());
  devices_.resize(count);
  std::stable_sort(devices_.begin(), devices_.end(), [this](VkPhysicalDevice one, VkPhysicalDevice other) {
    return rankOf(functions_, one) < rankOf(functions_, other);
  });
}

std::shared_ptr<Instance> sharedInstance(bool validates) {
  static std::mutex mutex;
  static std::shared_ptr<Instance> plain;
  static std::shared_ptr<Instance> watched;
  std::lock_guard<std::mutex> lock(mutex);
  std::shared_ptr<Instance>& instance = validates ? watched : plain;
  if (!instance) instance = std::make_shared<Instance>(validates);
  return instance;
}

std::vector<std::string> takeMessages() {
  Messages& kept = messages();
  std::lock_guard<std::mutex> lock(kept.mutex);
  return std::exchange(kept.all, {});
}

}  // namespace specoffload::vulkan
