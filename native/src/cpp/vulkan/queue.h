// A queue of a run: lists of operations in, in order; one answer for each, from a thread that waits for the device.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "clock.h"
#include "session.h"

namespace specoffload::vulkan {

/** An address says by its upper bits which memory it counts in. */
enum class Space : uint64_t { pool = 0, host = 1, data = 2, answers = 3, nowhere = 4 };

struct Address {
  Space space = Space::pool;
  uint64_t offset = 0;
};

enum class OperationKind : uint8_t { barrier, copy, fill, dispatch };

struct Operation {
  OperationKind kind = OperationKind::barrier;
  Address from;  // of a copy
  Address to;    // of a copy or a fill
  uint64_t bytes = 0;
  uint32_t kernel = 0;
  uint32_t groups[3] = {1, 1, 1};
  /** Addresses of a dispatch, then its words, in `Submission::addresses` and `Submission::words`. */
  uint32_t firstAddress = 0;
  uint32_t numAddresses = 0;
  uint32_t firstWord = 0;
  uint32_t numWords = 0;
};

/** Whoever submits derives from it what it needs to be told. */
struct Submission {
  virtual ~Submission() = default;
  std::vector<Operation> operations;
  std::vector<Address> addresses;
  std::vector<uint32_t> words;
  /** Small arguments, which travel with it. */
  std::vector<uint8_t> data;
  uint64_t answerBytes = 0;

  // What became of it; `answers` until it is given back.
  double startSeconds = 0;
  double endSeconds = 0;
  /** By kind of work, on the device's clock; zeros where it has none. */
  std::array<double, mostKinds> kindSeconds{};
  std::string error;
  const uint8_t* answers = nullptr;

  // Where data and answers lie: a piece of the queue's ring, or memory of its own.
  Place exchange;
  std::unique_ptr<Block> own;
  uint64_t mark = 0;
};

/** What is said of a device that was lost. */
std::string lossOf(const Gpu& gpu, VkResult result);

/** Command buffers of a queue, and so submissions to the device that may be under way. */
constexpr size_t mostUnderWay = 64;

/** Stretches of one kind of work that are told apart in what the device is given at once; more of them go in several parts. */
constexpr size_t mostStretches = 127;

/** Of the timestamps of what reaches a value of the timeline. */
inline uint32_t firstQueryOf(uint64_t value) {
  return static_cast<uint32_t>(value % mostUnderWay * (mostStretches + 1));
}

class Queue {
public:
  /** Called by a thread of the queue. */
  using Settle = std::function<void(std::shared_ptr<Submission>)>;

  Queue(std::shared_ptr<Session> session, bool isCopy, Settle settle);
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /** @throws RangeError when an operation names what is not there. */
  void submit(std::shared_ptr<Submission> submission);
  /** Whether its work is told by the device's clock. */
  bool hasTimestamps() const { return queryPool_ != VK_NULL_HANDLE; }
  /** Once its answers are read; in the order of settling. */
  void giveBack(const Submission& submission);
  /** Waits for what is under way, without settling it, and ends the threads. Again harmless. */
  void stop();

private:
  struct ReadBack {
    const uint8_t* from;
    uint8_t* to;
    uint64_t bytes;
  };

  /** What one call of vkQueueSubmit2 does: a submission, or what of it the staging buffers hold at a time. */
  struct Part {
    uint64_t value = 0;  // of the timeline, once it is done; 0: it never reached the device
    std::shared_ptr<Submission> submission;
    bool isFirst = false;
    bool isLast = false;
    std::vector<ReadBack> readBacks;
    uint64_t stagedBytes = 0;
    uint64_t stagingMark = 0;
    double submittedSeconds = 0;
    std::vector<uint8_t> stretches;  // kinds of work, one behind the other; a timestamp lies between two
  };

  void checkOperations(const Submission& submission) const;
  void recordAll();
  void record(const std::shared_ptr<Submission>& submission);
  void takeExchange(Submission& submission);
  void add(const Submission& submission, const Operation& operation);
  void beginPart(const std::shared_ptr<Submission>& submission);
  void endPart(bool isLast);
  void send();
  void enter(uint8_t kind);
  void writeTimestamp(size_t index);
  void readTimestamps(const Part& part, double& start, double& end);
  void addBarrier();
  void addCopy(const Submission& submission, const Operation& operation);
  void copyBetween(const Place& from, const Place& to, uint64_t bytes);
  void stageIn(const uint8_t* host, const Place& to, uint64_t bytes);
  void stageOut(const Place& from, uint8_t* host, uint64_t bytes);
  uint64_t stagedPieceBytes() const;
  VkDeviceSize takeStaging(uint64_t bytes);
  void flushCopies();
  void addDispatch(const Submission& submission, const Operation& operation);
  Place placeOf(const Submission& submission, const Address& address) const;
  void waitAll();
  void finish(const Part& part);
  void giveUp(const std::string& reason);

  const std::shared_ptr<Session> session_;
  Gpu& gpu_;
  const DeviceFunctions& vk_;
  HardwareQueue& hardware_;
  const bool isCopy_;
  Timeline& timeline_;
  Timeline& other_;
  Settle settle_;
  Ring exchange_;
  std::unique_ptr<Ring> staging_;  // where the device does not reach the host pool
  DeviceClock clock_;
  VkCommandPool commandPool_ = VK_NULL_HANDLE;
  std::vector<VkCommandBuffer> commandBuffers_;
  VkQueryPool queryPool_ = VK_NULL_HANDLE;

  // The recording thread's.
  uint64_t value_ = 0;
  VkCommandBuffer commands_ = VK_NULL_HANDLE;
  VkPipeline boundPipeline_ = VK_NULL_HANDLE;
  bool isBehindBarrier_ = true;
  Part part_;
  VkBuffer copySource_ = VK_NULL_HANDLE;
  VkBuffer copyTarget_ = VK_NULL_HANDLE;
  std::vector<VkBufferCopy> copies_;

  // The waiting thread's.
  double lastEndSeconds_ = 0;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::shared_ptr<Submission>> waiting_;
  std::deque<Part> underWay_;
  bool isStopping_ = false;
  bool isRecorded_ = false;  // the recording thread has ended
  std::string lost_;         // why nothing is served any more
  std::thread recorder_;
  std::thread waiter_;
};

}  // namespace specoffload::vulkan
