// The queue's threads: one records and submits, the other waits for the device and tells what became of it.
#include "queue.h"

#include <algorithm>

#include "../clock.h"
#include "vulkan_error.h"

namespace specoffload::vulkan {

namespace {

constexpr uint64_t patienceNanoseconds = 1'000'000'000;  // then it is asked again whether it is to stop

}  // namespace

std::string lossOf(const Gpu& gpu, VkResult result) {
  return gpu.facts().name + " does not answer any more: " + wordsOf(result) +
         "; start again, and look into the system's log if it happens twice";
}

Queue::Queue(std::shared_ptr<Session> session, bool isCopy, Settle settle)
    : session_(std::move(session)),
      gpu_(session_->gpu()),
      vk_(gpu_.functions()),
      hardware_(isCopy ? gpu_.copyQueue() : gpu_.computeQueue()),
      isCopy_(isCopy),
      timeline_(session_->timeline(isCopy)),
      other_(session_->timeline(!isCopy)),
      settle_(std::move(settle)),
      exchange_(Block::onHost(gpu_, session_->exchangeBytes())),
      clock_(gpu_, hardware_.timestampBits),
      commandBuffers_(mostUnderWay) {
  if (!session_->reachesHost()) staging_ = std::make_unique<Ring>(Block::onHost(gpu_, session_->stagingBytes()));
  value_ = timeline_.completed;
  VkCommandPoolCreateInfo poolInfo{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
  poolInfo.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
  poolInfo.queueFamilyIndex = hardware_.family;
  check(vk_.vkCreateCommandPool(gpu_.device(), &poolInfo, nullptr, &commandPool_), "no command pool");
  VkCommandBufferAllocateInfo bufferInfo{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
  bufferInfo.commandPool = commandPool_;
  bufferInfo.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
  bufferInfo.commandBufferCount = mostUnderWay;
  check(vk_.vkAllocateCommandBuffers(gpu_.device(), &bufferInfo, commandBuffers_.data()), "no command buffers");
  if (hardware_.timestampBits > 0) {
    VkQueryPoolCreateInfo queryInfo{VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO};
    queryInfo.queryType = VK_QUERY_TYPE_TIMESTAMP;
    queryInfo.queryCount = mostUnderWay * (mostStretches + 1);
    check(vk_.vkCreateQueryPool(gpu_.device(), &queryInfo, nullptr, &queryPool_), "no timestamps");
    vk_.vkResetQueryPool(gpu_.device(), queryPool_, 0, queryInfo.queryCount);
  }
  recorder_ = std::thread([this] { recordAll(); });
  waiter_ = std::thread([this] { waitAll(); });
}

Queue::~Queue() {
  stop();
  vk_.vkDestroyQueryPool(gpu_.device(), queryPool_, nullptr);
  vk_.vkDestroyCommandPool(gpu_.device(), commandPool_, nullptr);
}

void Queue::submit(std::shared_ptr<Submission> submission) {
  checkOperations(*submission);
  {
    std::lock_guard<std::mutex> lock(mutex_);
    waiting_.push_back(std::move(submission));
  }
  changed_.notify_all();
}

void Queue::giveBack(const Submission& submission) {
  if (submission.mark > 0) exchange_.giveBack(submission.mark);
}

void Queue::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    isStopping_ = true;
  }
  changed_.notify_all();
  exchange_.stop();
  if (staging_) staging_->stop();
  if (recorder_.joinable()) recorder_.join();
  if (waiter_.joinable()) waiter_.join();
}

void Queue::recordAll() {
  for (;;) {
    std::shared_ptr<Submission> submission;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return isStopping_ || !waiting_.empty(); });
      if (isStopping_) {
        isRecorded_ = true;
        break;
      }
      submission = std::move(waiting_.front());
      waiting_.pop_front();
    }
    try {
      record(submission);
    } catch (const std::exception& error) {
      // Vulkan itself has failed, or the queue is closed: nobody knows what is done of it.
      giveUp(error.what());
      Part part;
      part.submission = std::move(submission);
      part.isLast = true;
      std::lock_guard<std::mutex> lock(mutex_);
      underWay_.push_back(std::move(part));
    }
    changed_.notify_all();
  }
  changed_.notify_all();
}

/** Nothing is served any more, for the first reason that there was. */
void Queue::giveUp(const std::string& reason) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (lost_.empty()) lost_ = reason;
}

void Queue::waitAll() {
  for (;;) {
    Part part;
    {
      std::unique_lock<std::mutex> lock(mutex_);
      changed_.wait(lock, [this] { return isRecorded_ || !underWay_.empty(); });
      if (underWay_.empty()) return;
      part = underWay_.front();  // stays there, so that its command buffer is not used again yet
    }
    if (part.value > 0) finish(part);
    bool isSettled = part.isLast;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      underWay_.pop_front();
      part.submission->error = lost_;
      isSettled = isSettled && !isStopping_;
    }
    changed_.notify_all();
    if (isSettled) settle_(std::move(part.submission));
  }
}

/** Waits for the device; without spinning, as long as it takes. */
void Queue::finish(const Part& part) {
  VkSemaphoreWaitInfo info{VK_STRUCTURE_TYPE_SEMAPHORE_WAIT_INFO};
  info.semaphoreCount = 1;
  info.pSemaphores = &timeline_.semaphore;
  info.pValues = &part.value;
  VkResult result = VK_ERROR_DEVICE_LOST;
  do {
    if (gpu_.isLost()) break;
    result = vk_.vkWaitSemaphores(gpu_.device(), &info, patienceNanoseconds);
  } while (result == VK_TIMEOUT);
  if (result != VK_SUCCESS) {
    gpu_.lose();
    giveUp(lossOf(gpu_, result));
    return;
  }
  timeline_.completed = part.value;
  for (const ReadBack& each : part.readBacks) std::copy(each.from, each.from + each.bytes, each.to);
  if (staging_) staging_->giveBack(part.stagingMark);

  double start = part.submittedSeconds;
  double end = nowSeconds();
  if (hasTimestamps()) readTimestamps(part, start, end);
  // A queue works in order: what clocks disagree about is less than that.
  start = std::max(start, lastEndSeconds_);
  lastEndSeconds_ = std::max(start, end);
  if (part.isFirst) part.submission->startSeconds = start;
  part.submission->endSeconds = lastEndSeconds_;
}

/** @param start, end overwritten where the device's clock can be told in seconds of the host's */
void Queue::readTimestamps(const Part& part, double& start, double& end) {
  std::array<uint64_t, mostStretches + 1> ticks;
  const auto count = static_cast<uint32_t>(part.stretches.size() + 1);
  const uint32_t first = firstQueryOf(part.value);
  if (vk_.vkGetQueryPoolResults(gpu_.device(), queryPool_, first, count, count * sizeof ticks[0], ticks.data(),
                                sizeof ticks[0], VK_QUERY_RESULT_64_BIT) != VK_SUCCESS) {
    return;
  }
  for (size_t i = 0; i < part.stretches.size(); ++i) {
    part.submission->kindSeconds[part.stretches[i]] += clock_.secondsBetween(ticks[i], ticks[i + 1]);
  }
  vk_.vkResetQueryPool(gpu_.device(), queryPool_, first, count);  // for whoever takes this place next
  if (!clock_.isCalibrated()) return;
  start = clock_.secondsOf(ticks[0]);
  end = clock_.secondsOf(ticks[count - 1]);
}

}  // namespace specoffload::vulkan
