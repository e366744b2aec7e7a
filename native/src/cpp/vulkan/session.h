// What a run holds of a device: its pool there, and the host pool as the device reaches it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "memory.h"

namespace specoffload::vulkan {

/** What is to go wrong, to try what then happens. */
struct Faults {
  bool refusesImport = false;
  bool refusesAllocation = false;
  /** Submissions after which the device is lost; negative: never. */
  int64_t losesAfter = -1;
  /** Of the device's memory, as if there were no more; negative: what there is. */
  int64_t freeBytes = -1;
};

struct SessionOptions {
  /** The pool's addresses count through banks of so many bytes, each an allocation of its own. */
  uint64_t bankBytes = 0;
  std::vector<uint64_t> banks;
  uint64_t hostBankBytes = 0;
  /** Of a bank of the host pool, imported as one: a kernel finds all of what lies within it. */
  uint64_t hostPieceBytes = 0;
  std::vector<std::shared_ptr<Arena>> host;
  /** Of each queue, in host memory: what small data and answers travel in, and copies where import is refused. */
  uint64_t exchangeBytes = 0;
  uint64_t stagingBytes = 0;
  Faults faults;
};

/** A place in a buffer. */
struct Place {
  VkBuffer buffer = VK_NULL_HANDLE;
  VkDeviceSize offset = 0;
  VkDeviceAddress address = 0;
  /** Bytes from there to the end of the buffer. */
  VkDeviceSize left = 0;
};

/** A timeline, as others see it: what of it the host has seen completed. */
struct Timeline {
  VkSemaphore semaphore = VK_NULL_HANDLE;
  std::atomic<uint64_t> completed{0};
};

class Session {
public:
  /** @throws VulkanError when the device has no such memory. */
  Session(std::shared_ptr<Gpu> gpu, SessionOptions options);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  Gpu& gpu() const { return *gpu_; }
  uint64_t exchangeBytes() const { return exchangeBytes_; }
  uint64_t stagingBytes() const { return stagingBytes_; }
  /** Whether the device reaches the host pool by itself; else copies pass through staging buffers. */
  bool reachesHost() const { return reachesHost_; }
  /** @throws RangeError when there is no such place. */
  Place inPool(uint64_t offset) const;
  Place inHost(uint64_t offset) const;
  uint8_t* hostBytes(uint64_t offset, uint64_t bytes) const;
  Timeline& timeline(bool isCopy) { return isCopy ? copies_ : computations_; }
  /** Counts one; true when the device is to be lost with it. */
  bool losesNow() { return faults_.losesAfter >= 0 && ++submissions_ > faults_.losesAfter; }

private:
  void takePool(const std::vector<uint64_t>& banks);
  void reachHost();

  std::shared_ptr<Gpu> gpu_;
  uint64_t bankBytes_;
  std::vector<std::unique_ptr<Block>> banks_;
  uint64_t hostBankBytes_;
  uint64_t importBytes_;  // of a piece of an arena, at most
  std::vector<std::shared_ptr<Arena>> host_;
  uint64_t exchangeBytes_;
  uint64_t stagingBytes_;
  std::vector<std::vector<std::unique_ptr<Block>>> imported_;
  bool reachesHost_ = false;
  Faults faults_;
  std::atomic<int64_t> submissions_{0};
  Timeline computations_;
  Timeline copies_;
};

}  // namespace specoffload::vulkan
