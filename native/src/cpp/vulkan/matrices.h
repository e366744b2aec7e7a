// Cooperative matrices (VK_KHR_cooperative_matrix, with VK_KHR_shader_bfloat16 where there is that): what a subgroup
// multiplies at once. The headers of Debian 12 are older than both.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "functions.h"

namespace specoffload::vulkan {

/** (rows, depth) times (depth, outputs), of 16 bits each, added up in fp32. */
struct Matrices {
  bool isBf16 = false;  // else fp16
  uint32_t rows = 0;
  uint32_t outputs = 0;
  uint32_t depth = 0;
  uint32_t subgroupSize = 0;
};

/** Of bf16, else of fp16; nothing where kernels cannot have them. @param subgroupSize the only one that there is */
std::optional<Matrices> findMatrices(const InstanceFunctions& vk, VkPhysicalDevice device,
                                     const std::vector<std::string>& extensions, uint32_t subgroupSize);

/** What a device is opened with to have them; has to live until it is open. */
class MatrixFeatures {
public:
  explicit MatrixFeatures(const Matrices& matrices) : isBf16_(matrices.isBf16) {}
  /** @returns what to chain in the place of `next` */
  void* chain(void* next);
  std::vector<const char*> extensions() const;

  struct Cooperative {
    VkStructureType type = static_cast<VkStructureType>(1000506000);
    void* next = nullptr;
    VkBool32 cooperativeMatrix = VK_TRUE;
    VkBool32 robustBufferAccess = VK_FALSE;
  };
  struct Bfloat16 {
    VkStructureType type = static_cast<VkStructureType>(1000141000);
    void* next = nullptr;
    VkBool32 isType = VK_TRUE;
    VkBool32 hasDotProduct = VK_FALSE;
    VkBool32 hasMatrices = VK_TRUE;
  };

private:
  bool isBf16_;
  Cooperative cooperative_;
  Bfloat16 bfloat16_;
};

}  // namespace specoffload::vulkan
