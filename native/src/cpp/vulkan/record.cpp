// How a queue records: operations into command buffers, and those to the device.
#include <algorithm>

#include "../clock.h"
#include "../error.h"
#include "queue.h"
#include "vulkan_error.h"

namespace specoffload::vulkan {

namespace {

constexpr VkDeviceSize answerAlignment = 64;
VkDeviceSize alignUp(VkDeviceSize value) { return (value + answerAlignment - 1) / answerAlignment * answerAlignment; }

}  // namespace

/** Everything that a caller can do wrong, before anything is recorded. */
void Queue::checkOperations(const Submission& submission) const {
  const auto reaches = [&](const Address& address, uint64_t bytes) {
    switch (address.space) {
      case Space::pool:
        if (session_->inPool(address.offset).left < bytes) throw RangeError("a device address whose bytes do not fit");
        return;
      case Space::host: session_->hostBytes(address.offset, bytes); return;
      case Space::data:
        if (address.offset + bytes > submission.data.size()) throw RangeError("an address behind the data");
        return;
      case Space::answers:
        if (address.offset + bytes > submission.answerBytes) throw RangeError("an address behind the answers");
        return;
      case Space::nowhere: break;
    }
    throw RangeError("an address in no memory");
  };
  for (const Operation& operation : submission.operations) {
    if (operation.kind == OperationKind::copy) {
      reaches(operation.from, operation.bytes);
      reaches(operation.to, operation.bytes);
    } else if (operation.kind == OperationKind::fill) {
      reaches(operation.to, operation.bytes);
    } else if (operation.kind == OperationKind::dispatch) {
      if (operation.kernel >= gpu_.numKernels()) throw RangeError("no such kernel");
      if (operation.numAddresses * 8 + operation.numWords * 4 > pushConstantBytes) {
        throw RangeError("more push constants than there is room for");
      }
      for (uint32_t i = 0; i < operation.numAddresses; ++i) {
        const Address& address = submission.addresses[operation.firstAddress + i];
        if (address.space == Space::nowhere) continue;  // a kernel's way to say that there is none
        reaches(address, 1);
        if (address.space == Space::host && !session_->reachesHost()) {
          throw RangeError("a kernel's address in host memory, which the device does not reach");
        }
      }
    }
  }
}

void Queue::record(const std::shared_ptr<Submission>& submission) {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (!lost_.empty()) throw VulkanError(lost_);
  }
  takeExchange(*submission);
  beginPart(submission);
  part_.isFirst = true;
  for (const Operation& operation : submission->operations) add(*submission, operation);
  endPart(true);
}

/** Memory for what travels with it, and for what it answers. */
void Queue::takeExchange(Submission& submission) {
  const VkDeviceSize dataBytes = alignUp(submission.data.size());
  const VkDeviceSize bytes = dataBytes + submission.answerBytes;
  if (bytes == 0) return;
  const Block* block = &exchange_.block();
  VkDeviceSize offset = 0;
  if (bytes > exchange_.bytes() / 2) {
    submission.own = Block::onHost(gpu_, bytes);
    block = submission.own.get();
  } else {
    offset = exchange_.take(bytes);
    submission.mark = exchange_.mark();
  }
  submission.exchange = {block->buffer(), offset, block->address() + offset, bytes};
  std::copy(submission.data.begin(), submission.data.end(), block->mapped() + offset);
  submission.answers = block->mapped() + offset + dataBytes;
}

void Queue::beginPart(const std::shared_ptr<Submission>& submission) {
  part_ = {};
  part_.submission = submission;
  {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [this] { return isStopping_ || underWay_.size() < mostUnderWay; });
    if (isStopping_) throw VulkanError("the queue is closed");
  }
  value_ += 1;
  commands_ = commandBuffers_[value_ % mostUnderWay];
  boundPipeline_ = VK_NULL_HANDLE;
  VkCommandBufferBeginInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  info.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  check(vk_.vkBeginCommandBuffer(commands_, &info), "commands cannot be recorded");
  addBarrier();  // behind what the queue was given before
  writeTimestamp(0);
}

void Queue::writeTimestamp(size_t index) {
  if (!hasTimestamps()) return;
  vk_.vkCmdWriteTimestamp2(commands_, VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT, queryPool_,
                           firstQueryOf(value_) + static_cast<uint32_t>(index));
}

/** What runs side by side counts as what came first of it: only a barrier tells two kinds of work apart. */
void Queue::enter(uint8_t kind) {
  if (!isBehindBarrier_) return;
  isBehindBarrier_ = false;
  if (part_.stretches.size() == mostStretches && part_.stretches.back() != kind) {
    const std::shared_ptr<Submission> submission = part_.submission;
    endPart(false);
    beginPart(submission);
    isBehindBarrier_ = false;
  }
  if (!part_.stretches.empty()) {
    if (part_.stretches.back() == kind) return;
    writeTimestamp(part_.stretches.size());
  }
  part_.stretches.push_back(kind);
}

void Queue::endPart(bool isLast) {
  flushCopies();
  VkMemoryBarrier2 toHost{VK_STRUCTURE_TYPE_MEMORY_BARRIER_2};
  toHost.srcStageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT;
  toHost.srcAccessMask = VK_ACCESS_2_MEMORY_WRITE_BIT;
  toHost.dstStageMask = VK_PIPELINE_STAGE_2_HOST_BIT;
  toHost.dstAccessMask = VK_ACCESS_2_HOST_READ_BIT;
  VkDependencyInfo dependency{VK_STRUCTURE_TYPE_DEPENDENCY_INFO};
  dependency.memoryBarrierCount = 1;
  dependency.pMemoryBarriers = &toHost;
  vk_.vkCmdPipelineBarrier2(commands_, &dependency);
  enter(copyKind);  // of nothing, if it was empty
  writeTimestamp(part_.stretches.size());
  check(vk_.vkEndCommandBuffer(commands_), "commands cannot be recorded");
  if (staging_) part_.stagingMark = staging_->mark();
  part_.value = value_;
  part_.isLast = isLast;
  part_.submittedSeconds = nowSeconds();
  send();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    underWay_.push_back(std::move(part_));
  }
  changed_.notify_all();
}

/** Behind what the other queue is known to have done, which its memory then shows here too. */
void Queue::send() {
  VkSemaphoreSubmitInfo wait{VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO};
  wait.semaphore = other_.semaphore;
  wait.value = other_.completed;
  wait.stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT;
  VkSemaphoreSubmitInfo signal{VK_STRUCTURE_TYPE_SEMAPHORE_SUBMIT_INFO};
  signal.semaphore = timeline_.semaphore;
  signal.value = value_;
  signal.stageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT;
  VkCommandBufferSubmitInfo commands{VK_STRUCTURE_TYPE_COMMAND_BUFFER_SUBMIT_INFO};
  commands.commandBuffer = commands_;
  VkSubmitInfo2 info{VK_STRUCTURE_TYPE_SUBMIT_INFO_2};
  info.waitSemaphoreInfoCount = wait.value > 0 ? 1 : 0;
  info.pWaitSemaphoreInfos = &wait;
  info.commandBufferInfoCount = 1;
  info.pCommandBufferInfos = &commands;
  info.signalSemaphoreInfoCount = 1;
  info.pSignalSemaphoreInfos = &signal;
  VkResult result = VK_ERROR_DEVICE_LOST;
  if (!session_->losesNow() && !gpu_.isLost()) {
    std::lock_guard<std::mutex> lock(hardware_.mutex);
    result = vk_.vkQueueSubmit2(hardware_.queue, 1, &info, VK_NULL_HANDLE);
    if (result != VK_SUCCESS) gpu_.lose();
  }
  if (result != VK_SUCCESS) throw VulkanError(lossOf(gpu_, result));
}

void Queue::add(const Submission& submission, const Operation& operation) {
  if (operation.kind == OperationKind::copy) return addCopy(submission, operation);
  flushCopies();
  if (operation.kind == OperationKind::barrier) return addBarrier();
  if (operation.kind == OperationKind::dispatch) return addDispatch(submission, operation);
  const Place place = placeOf(submission, operation.to);
  enter(copyKind);
  vk_.vkCmdFillBuffer(commands_, place.buffer, place.offset, operation.bytes, 0);
}

void Queue::addBarrier() {
  isBehindBarrier_ = true;
  VkMemoryBarrier2 all{VK_STRUCTURE_TYPE_MEMORY_BARRIER_2};
  all.srcStageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT;
  all.srcAccessMask = VK_ACCESS_2_MEMORY_WRITE_BIT;
  all.dstStageMask = VK_PIPELINE_STAGE_2_ALL_COMMANDS_BIT;
  all.dstAccessMask = VK_ACCESS_2_MEMORY_READ_BIT | VK_ACCESS_2_MEMORY_WRITE_BIT;
  VkDependencyInfo dependency{VK_STRUCTURE_TYPE_DEPENDENCY_INFO};
  dependency.memoryBarrierCount = 1;
  dependency.pMemoryBarriers = &all;
  vk_.vkCmdPipelineBarrier2(commands_, &dependency);
}

/** In pieces that lie in one buffer each, or by way of a staging buffer. */
void Queue::addCopy(const Submission& submission, const Operation& operation) {
  const bool isStaged = staging_ != nullptr;
  Address from = operation.from;
  Address to = operation.to;
  for (uint64_t left = operation.bytes; left > 0;) {
    uint64_t bytes = left;
    if (isStaged && (from.space == Space::host || to.space == Space::host)) {
      bytes = std::min(bytes, stagedPieceBytes());
      if (from.space == Space::host) {
        stageIn(session_->hostBytes(from.offset, bytes), placeOf(submission, to), bytes);
      } else {
        stageOut(placeOf(submission, from), session_->hostBytes(to.offset, bytes), bytes);
      }
    } else {
      const Place source = placeOf(submission, from);
      const Place target = placeOf(submission, to);
      bytes = std::min({bytes, source.left, target.left});
      copyBetween(source, target, bytes);
    }
    left -= bytes;
    from.offset += bytes;
    to.offset += bytes;
  }
}

/** Neighbours in the list that have their buffers in common become one command. */
void Queue::copyBetween(const Place& from, const Place& to, uint64_t bytes) {
  if (from.buffer != copySource_ || to.buffer != copyTarget_) flushCopies();
  enter(copyKind);
  copySource_ = from.buffer;
  copyTarget_ = to.buffer;
  copies_.push_back({from.offset, to.offset, bytes});
}

void Queue::flushCopies() {
  if (copies_.empty()) return;
  vk_.vkCmdCopyBuffer(commands_, copySource_, copyTarget_, static_cast<uint32_t>(copies_.size()), copies_.data());
  copies_.clear();
}

void Queue::stageIn(const uint8_t* host, const Place& to, uint64_t bytes) {
  const VkDeviceSize offset = takeStaging(bytes);
  std::copy(host, host + bytes, staging_->block().mapped() + offset);
  copyBetween({staging_->block().buffer(), offset, 0, 0}, to, bytes);
}

void Queue::stageOut(const Place& from, uint8_t* host, uint64_t bytes) {
  const VkDeviceSize offset = takeStaging(bytes);
  part_.readBacks.push_back({staging_->block().mapped() + offset, host, bytes});
  copyBetween(from, {staging_->block().buffer(), offset, 0, 0}, bytes);
}

/** So that one piece of a long copy crosses the link while the next is staged. */
uint64_t Queue::stagedPieceBytes() const { return staging_->bytes() / 4; }

/** The device gets what is recorded so far, as soon as that fills a piece; it waits for earlier ones alone. */
VkDeviceSize Queue::takeStaging(uint64_t bytes) {
  if (part_.stagedBytes > 0 && part_.stagedBytes + bytes > stagedPieceBytes()) {
    const std::shared_ptr<Submission> submission = part_.submission;
    endPart(false);
    beginPart(submission);
  }
  part_.stagedBytes += bytes;
  return staging_->take(bytes);
}

void Queue::addDispatch(const Submission& submission, const Operation& operation) {
  const VkPipeline pipeline = gpu_.kernel(operation.kernel);
  enter(gpu_.kindOf(operation.kernel));
  if (pipeline != boundPipeline_) vk_.vkCmdBindPipeline(commands_, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
  boundPipeline_ = pipeline;
  uint32_t push[pushConstantBytes / sizeof(uint32_t)];
  uint32_t at = 0;
  for (uint32_t i = 0; i < operation.numAddresses; ++i) {
    const VkDeviceAddress address = placeOf(submission, submission.addresses[operation.firstAddress + i]).address;
    push[at++] = static_cast<uint32_t>(address);
    push[at++] = static_cast<uint32_t>(address >> 32);
  }
  for (uint32_t i = 0; i < operation.numWords; ++i) push[at++] = submission.words[operation.firstWord + i];
  vk_.vkCmdPushConstants(commands_, gpu_.pipelineLayout(), VK_SHADER_STAGE_COMPUTE_BIT, 0, at * sizeof(uint32_t), push);
  vk_.vkCmdDispatch(commands_, operation.groups[0], operation.groups[1], operation.groups[2]);
}

Place Queue::placeOf(const Submission& submission, const Address& address) const {
  if (address.space == Space::nowhere) return {};
  if (address.space == Space::pool) return session_->inPool(address.offset);
  if (address.space == Space::host) return session_->inHost(address.offset);
  const bool isAnswer = address.space == Space::answers;
  const uint64_t within = address.offset + (isAnswer ? alignUp(submission.data.size()) : 0);
  const Place& all = submission.exchange;
  return {all.buffer, all.offset + within, all.address + within, all.left - within};
}

}  // namespace specoffload::vulkan
