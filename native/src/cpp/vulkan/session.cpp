#include "session.h"

#include <algorithm>
#include <numeric>

#include "../error.h"
#include "vulkan_error.h"

namespace specoffload::vulkan {

namespace {

VkSemaphore createTimeline(Gpu& gpu) {
  VkSemaphoreTypeCreateInfo type{VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO};
  type.semaphoreType = VK_SEMAPHORE_TYPE_TIMELINE;
  VkSemaphoreCreateInfo info{VK_STRUCTURE_TYPE_SEMAPHORE_CREATE_INFO, &type};
  VkSemaphore semaphore = VK_NULL_HANDLE;
  check(gpu.functions().vkCreateSemaphore(gpu.device(), &info, nullptr, &semaphore), "no semaphore");
  return semaphore;
}

}  // namespace

Session::Session(std::shared_ptr<Gpu> gpu, SessionOptions options)
    : gpu_(std::move(gpu)),
      bankBytes_(options.bankBytes),
      hostBankBytes_(options.hostBankBytes),
      importBytes_(options.hostPieceBytes),
      host_(std::move(options.host)),
      exchangeBytes_(options.exchangeBytes),
      stagingBytes_(options.stagingBytes),
      faults_(options.faults) {
  takePool(options.banks);
  if (!faults_.refusesImport) reachHost();
  computations_.semaphore = createTimeline(*gpu_);
  copies_.semaphore = createTimeline(*gpu_);
}

Session::~Session() {
  gpu_->functions().vkDestroySemaphore(gpu_->device(), computations_.semaphore, nullptr);
  gpu_->functions().vkDestroySemaphore(gpu_->device(), copies_.semaphore, nullptr);
}

/** Where the driver would rather move other memory away than refuse, the pool would be somewhere else than it seems. */
void Session::takePool(const std::vector<uint64_t>& banks) {
  const uint64_t wanted = std::accumulate(banks.begin(), banks.end(), uint64_t{0});
  const uint64_t free = faults_.freeBytes < 0 ? gpu_->freeBytes() : static_cast<uint64_t>(faults_.freeBytes);
  if (wanted > free) {
    throw VulkanError(gpu_->facts().name + " has " + mebibytes(free) + " of its memory free, and this run asks for " +
                      mebibytes(wanted) + "; use a smaller device memory budget, or end what else is on the device");
  }
  for (const uint64_t bytes : banks) banks_.push_back(Block::onDevice(*gpu_, bytes, faults_.refusesAllocation));
}

/** Imports every arena in pieces, or none at all. */
void Session::reachHost() {
  for (const std::shared_ptr<Arena>& arena : host_) {
    std::vector<std::unique_ptr<Block>> pieces;
    // An arena is mapped in whole pages, which belong to it to the end.
    const uint64_t mapped = arena->mappedBytes();
    for (uint64_t offset = 0; offset < mapped; offset += importBytes_) {
      pieces.push_back(Block::imported(*gpu_, arena->data() + offset, std::min(importBytes_, mapped - offset)));
      if (!pieces.back()) {
        imported_.clear();
        return;
      }
    }
    imported_.push_back(std::move(pieces));
  }
  reachesHost_ = true;
}

Place Session::inPool(uint64_t offset) const {
  const uint64_t bank = offset / bankBytes_;
  const uint64_t within = offset % bankBytes_;
  if (bank >= banks_.size() || within >= banks_[bank]->bytes()) {
    throw RangeError("invalid device address: " + std::to_string(offset) + "; nothing of the pool lies there");
  }
  const Block& block = *banks_[bank];
  return {block.buffer(), within, block.address() + within, block.bytes() - within};
}

Place Session::inHost(uint64_t offset) const {
  const uint64_t bank = offset / hostBankBytes_;
  const uint64_t within = offset % hostBankBytes_;
  if (bank >= imported_.size() || within / importBytes_ >= imported_[bank].size()) {
    throw RangeError("invalid host address: " + std::to_string(offset) + "; the device reaches nothing there");
  }
  const Block& block = *imported_[bank][within / importBytes_];
  const uint64_t start = within % importBytes_;
  if (start >= block.bytes()) throw RangeError("invalid host address: " + std::to_string(offset));
  return {block.buffer(), start, block.address() + start, block.bytes() - start};
}

uint8_t* Session::hostBytes(uint64_t offset, uint64_t bytes) const {
  const uint64_t bank = offset / hostBankBytes_;
  const uint64_t within = offset % hostBankBytes_;
  if (bank >= host_.size() || within + bytes > host_[bank]->byteLength()) {
    throw RangeError("invalid host address: " + std::to_string(offset) + "; " + std::to_string(bytes) +
                     " bytes from there do not fit the pool");
  }
  return host_[bank]->data() + within;
}

}  // namespace specoffload::vulkan
