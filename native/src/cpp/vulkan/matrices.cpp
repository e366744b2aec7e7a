#include "matrices.h"

#include <algorithm>

namespace specoffload::vulkan {

namespace {

constexpr const char* cooperativeExtension = "VK_KHR_cooperative_matrix";
constexpr const char* bfloat16Extension = "VK_KHR_shader_bfloat16";

/** VkComponentTypeKHR and VkScopeKHR. */
constexpr uint32_t float16 = 0;
constexpr uint32_t float32 = 1;
constexpr uint32_t bfloat16 = 1000141000;
constexpr uint32_t subgroupScope = 3;

/** VkCooperativeMatrixPropertiesKHR. */
struct Properties {
  VkStructureType type = static_cast<VkStructureType>(1000506001);
  void* next = nullptr;
  uint32_t rows, outputs, depth;
  uint32_t a, b, c, result;
  VkBool32 saturates;
  uint32_t scope;
};

using GetProperties = VkResult(VKAPI_PTR*)(VkPhysicalDevice, uint32_t*, Properties*);

bool takesShape(const Properties& each, uint32_t input) {
  const bool isInShape = each.rows <= 32 && each.outputs <= 64 && each.depth <= 32 && each.depth % 8 == 0;
  return isInShape && each.scope == subgroupScope && each.a == input && each.b == input && each.c == float32 &&
         each.result == float32 && each.saturates == VK_FALSE;
}

}  // namespace

std::optional<Matrices> findMatrices(const InstanceFunctions& vk, VkPhysicalDevice device,
                                     const std::vector<std::string>& extensions, uint32_t subgroupSize) {
  const auto has = [&](const char* name) {
    return std::find(extensions.begin(), extensions.end(), name) != extensions.end();
  };
  const auto getProperties = reinterpret_cast<GetProperties>(vk.vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR);
  if (!has(cooperativeExtension) || getProperties == nullptr) return std::nullopt;
  MatrixFeatures::Bfloat16 withBfloat16;
  withBfloat16.hasMatrices = VK_FALSE;
  MatrixFeatures::Cooperative cooperative;
  cooperative.next = has(bfloat16Extension) ? &withBfloat16 : nullptr;
  VkPhysicalDeviceVulkan12Features features12{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, &cooperative};
  VkPhysicalDeviceFeatures2 features{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2, &features12};
  vk.vkGetPhysicalDeviceFeatures2(device, &features);
  if (!cooperative.cooperativeMatrix || !features12.vulkanMemoryModel || !features12.shaderFloat16) {
    return std::nullopt;
  }
  uint32_t count = 0;
  if (getProperties(device, &count, nullptr) != VK_SUCCESS) return std::nullopt;
  std::vector<Properties> all(count);
  if (getProperties(device, &count, all.data()) != VK_SUCCESS) return std::nullopt;
  std::optional<Matrices> best;
  for (const uint32_t input : {float16, bfloat16}) {
    if (input == bfloat16 && !withBfloat16.hasMatrices) continue;
    std::optional<Matrices> largest;
    for (const Properties& each : all) {
      if (!takesShape(each, input)) continue;
      const uint64_t size = uint64_t{each.rows} * each.outputs * each.depth;
      if (largest && size <= uint64_t{largest->rows} * largest->outputs * largest->depth) continue;
      largest = Matrices{input == bfloat16, each.rows, each.outputs, each.depth, subgroupSize};
    }
    if (largest) best = largest;
  }
  return best;
}

void* MatrixFeatures::chain(void* next) {
  bfloat16_.next = next;
  cooperative_.next = isBf16_ ? &bfloat16_ : next;
  return &cooperative_;
}

std::vector<const char*> MatrixFeatures::extensions() const {
  if (isBf16_) return {cooperativeExtension, bfloat16Extension};
  return {cooperativeExtension};
}

}  // namespace specoffload::vulkan
