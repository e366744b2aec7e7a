#include "memory.h"

#include <algorithm>

#include "vulkan_error.h"

namespace specoffload::vulkan {

namespace {

constexpr VkDeviceSize pieceAlignment = 256;
constexpr uint32_t noType = UINT32_MAX;

/** The first type with all of `wanted`, preferably with `preferred` too and nothing of `avoided`. */
uint32_t findType(const Gpu& gpu, uint32_t allowed, VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags preferred,
                  VkMemoryPropertyFlags avoided) {
  const VkPhysicalDeviceMemoryProperties& memory = gpu.memory();
  const auto find = [&](VkMemoryPropertyFlags flags, VkMemoryPropertyFlags without) {
    for (uint32_t i = 0; i < memory.memoryTypeCount; ++i) {
      const VkMemoryPropertyFlags has = memory.memoryTypes[i].propertyFlags;
      if ((allowed & (1u << i)) != 0 && (has & flags) == flags && (has & without) == 0) return i;
    }
    return noType;
  };
  uint32_t type = find(wanted | preferred, avoided);
  if (type == noType) type = find(wanted | preferred, 0);
  if (type == noType) type = find(wanted, 0);
  return type;
}

}  // namespace

std::string mebibytes(VkDeviceSize bytes) { return std::to_string((bytes + (1 << 20) - 1) >> 20) + " MiB"; }

Block::Block(Gpu& gpu, VkDeviceSize bytes, bool isImported) : gpu_(gpu), bytes_(bytes) {
  VkExternalMemoryBufferCreateInfo external{VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_BUFFER_CREATE_INFO};
  external.handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
  VkBufferCreateInfo info{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
  info.pNext = isImported ? &external : nullptr;
  info.size = bytes;
  info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
               VK_BUFFER_USAGE_TRANSFER_DST_BIT | VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT;
  const std::vector<uint32_t>& families = gpu.families();
  if (families.size() > 1) {
    info.sharingMode = VK_SHARING_MODE_CONCURRENT;
    info.queueFamilyIndexCount = static_cast<uint32_t>(families.size());
    info.pQueueFamilyIndices = families.data();
  }
  check(gpu.functions().vkCreateBuffer(gpu.device(), &info, nullptr, &buffer_), "no buffer of " + mebibytes(bytes));
}

Block::~Block() {
  const DeviceFunctions& vk = gpu_.functions();
  vk.vkDestroyBuffer(gpu_.device(), buffer_, nullptr);
  vk.vkFreeMemory(gpu_.device(), memory_, nullptr);
}

VkMemoryRequirements Block::requirements() const {
  VkMemoryRequirements requirements{};
  gpu_.functions().vkGetBufferMemoryRequirements(gpu_.device(), buffer_, &requirements);
  return requirements;
}

VkResult Block::allocate(uint32_t type, const void* next) {
  VkMemoryAllocateFlagsInfo flags{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO, next};
  flags.flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT;
  VkMemoryAllocateInfo info{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, &flags};
  info.allocationSize = next == nullptr ? requirements().size : bytes_;
  info.memoryTypeIndex = type;
  return gpu_.functions().vkAllocateMemory(gpu_.device(), &info, nullptr, &memory_);
}

void Block::bind() {
  check(gpu_.functions().vkBindBufferMemory(gpu_.device(), buffer_, memory_, 0), "memory cannot be bound");
  VkBufferDeviceAddressInfo info{VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO};
  info.buffer = buffer_;
  address_ = gpu_.functions().vkGetBufferDeviceAddress(gpu_.device(), &info);
}

std::unique_ptr<Block> Block::onDevice(Gpu& gpu, VkDeviceSize bytes, bool isRefused) {
  std::unique_ptr<Block> block(new Block(gpu, bytes, false));
  const uint32_t type = findType(gpu, block->requirements().memoryTypeBits, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0,
                                 VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT);
  const std::string refusal = gpu.facts().name + " gives no " + mebibytes(bytes) +
                              " of its memory; use a smaller device memory budget, or end what else is on the device";
  if (type == noType) throw VulkanError(refusal);
  check(isRefused ? VK_ERROR_OUT_OF_DEVICE_MEMORY : block->allocate(type, nullptr), refusal);
  block->bind();
  return block;
}

std::unique_ptr<Block> Block::onHost(Gpu& gpu, VkDeviceSize bytes) {
  std::unique_ptr<Block> block(new Block(gpu, bytes, false));
  const uint32_t type = findType(gpu, block->requirements().memoryTypeBits,
                                 VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
                                 VK_MEMORY_PROPERTY_HOST_CACHED_BIT, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
  const std::string refusal = gpu.facts().name + " gives no " + mebibytes(bytes) + " of host memory that it reaches";
  if (type == noType) throw VulkanError(refusal);
  check(block->allocate(type, nullptr), refusal);
  block->bind();
  void* mapped = nullptr;
  check(gpu.functions().vkMapMemory(gpu.device(), block->memory_, 0, VK_WHOLE_SIZE, 0, &mapped), "no mapping");
  block->mapped_ = static_cast<uint8_t*>(mapped);
  return block;
}

std::unique_ptr<Block> Block::imported(Gpu& gpu, uint8_t* data, VkDeviceSize bytes) {
  const VkDeviceSize alignment = gpu.facts().importAlignmentBytes;
  const DeviceFunctions& vk = gpu.functions();
  if (alignment == 0 || vk.vkGetMemoryHostPointerPropertiesEXT == nullptr) return nullptr;
  if (reinterpret_cast<uintptr_t>(data) % alignment != 0 || bytes % alignment != 0) return nullptr;
  constexpr auto handleType = VK_EXTERNAL_MEMORY_HANDLE_TYPE_HOST_ALLOCATION_BIT_EXT;
  VkMemoryHostPointerPropertiesEXT pointer{VK_STRUCTURE_TYPE_MEMORY_HOST_POINTER_PROPERTIES_EXT};
  if (vk.vkGetMemoryHostPointerPropertiesEXT(gpu.device(), handleType, data, &pointer) != VK_SUCCESS) return nullptr;
  std::unique_ptr<Block> block(new Block(gpu, bytes, true));
  const VkMemoryRequirements needs = block->requirements();
  const uint32_t type = findType(gpu, needs.memoryTypeBits & pointer.memoryTypeBits,
                                 VK_MEMORY_PROPERTY_HOST_COHERENT_BIT, VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 0);
  if (type == noType || needs.size > bytes) return nullptr;
  VkImportMemoryHostPointerInfoEXT import{VK_STRUCTURE_TYPE_IMPORT_MEMORY_HOST_POINTER_INFO_EXT};
  import.handleType = handleType;
  import.pHostPointer = data;
  if (block->allocate(type, &import) != VK_SUCCESS) return nullptr;
  block->bind();
  return block;
}

/** A piece does not go round the end of the block. */
uint64_t Ring::placeFor(VkDeviceSize wanted) const {
  const uint64_t start = (head_ + pieceAlignment - 1) / pieceAlignment * pieceAlignment;
  const uint64_t offset = start % bytes();
  return offset + wanted <= bytes() ? start : start + (bytes() - offset);
}

VkDeviceSize Ring::take(VkDeviceSize wanted) {
  std::unique_lock<std::mutex> lock(mutex_);
  freed_.wait(lock, [&] { return isStopped_ || placeFor(wanted) + wanted <= tail_ + bytes(); });
  if (isStopped_) throw VulkanError("the queue is closed");
  const uint64_t start = placeFor(wanted);
  head_ = start + wanted;
  return start % bytes();
}

uint64_t Ring::mark() {
  std::lock_guard<std::mutex> lock(mutex_);
  return head_;
}

void Ring::giveBack(uint64_t mark) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    tail_ = std::max(tail_, mark);
    if (tail_ == head_) head_ = tail_ = (head_ + bytes() - 1) / bytes() * bytes();
  }
  freed_.notify_all();
}

void Ring::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    isStopped_ = true;
  }
  freed_.notify_all();
}

}  // namespace specoffload::vulkan
