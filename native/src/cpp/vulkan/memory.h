// Memory of a run: allocations behind the device pool, arenas of the host that the device reaches by itself, and rings.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "../arena.h"
#include "gpu.h"

namespace specoffload::vulkan {

/** For messages. */
std::string mebibytes(VkDeviceSize bytes);

/** Memory with a buffer over all of it; freed with it. */
class Block {
public:
  /** Device memory. @param isRefused as if the driver had none left, to try that */
  static std::unique_ptr<Block> onDevice(Gpu& gpu, VkDeviceSize bytes, bool isRefused = false);
  /** Host memory that the device reaches, mapped. */
  static std::unique_ptr<Block> onHost(Gpu& gpu, VkDeviceSize bytes);
  /** Memory of the process, page-aligned; null where the driver refuses it. */
  static std::unique_ptr<Block> imported(Gpu& gpu, uint8_t* data, VkDeviceSize bytes);
  ~Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;

  VkBuffer buffer() const { return buffer_; }
  VkDeviceAddress address() const { return address_; }
  VkDeviceSize bytes() const { return bytes_; }
  uint8_t* mapped() const { return mapped_; }

private:
  Block(Gpu& gpu, VkDeviceSize bytes, bool isImported);
  VkMemoryRequirements requirements() const;
  /** @returns whether the driver gives it. */
  VkResult allocate(uint32_t type, const void* next);
  void bind();

  Gpu& gpu_;
  VkDeviceSize bytes_;
  VkBuffer buffer_ = VK_NULL_HANDLE;
  VkDeviceMemory memory_ = VK_NULL_HANDLE;
  VkDeviceAddress address_ = 0;
  uint8_t* mapped_ = nullptr;
};

/** Pieces of a block that are given back in the order in which they were taken. */
class Ring {
public:
  explicit Ring(std::unique_ptr<Block> block) : block_(std::move(block)) {}

  const Block& block() const { return *block_; }
  VkDeviceSize bytes() const { return block_->bytes(); }
  /** Waits until there is room; `bytes` fit the ring. @returns where the piece starts */
  VkDeviceSize take(VkDeviceSize bytes);
  /** All that was taken so far: to be given back to when it is no longer used. */
  uint64_t mark();
  void giveBack(uint64_t mark);
  /** Lets whoever waits go on with an error. */
  void stop();

private:
  uint64_t placeFor(VkDeviceSize bytes) const;

  std::unique_ptr<Block> block_;
  std::mutex mutex_;
  std::condition_variable freed_;
  uint64_t head_ = 0;  // counts on and on; modulo the size it is an offset
  uint64_t tail_ = 0;
  bool isStopped_ = false;
};

}  // namespace specoffload::vulkan
