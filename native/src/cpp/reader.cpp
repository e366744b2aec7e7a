#include "reader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "clock.h"
#include "error.h"

namespace specoffload {

namespace {

constexpr size_t blockBytes = 4096;

}  // namespace

File::File(const std::string& path, bool direct) : path_(path) {
#ifdef O_DIRECT
  if (direct) {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_DIRECT);
    direct_ = descriptor_ >= 0;
  }
#endif
  if (descriptor_ < 0) {
    descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    dropsCache_ = direct;
  }
  if (descriptor_ < 0) throw SystemError("cannot open " + path, errno);
  struct stat status;
  const bool known = fstat(descriptor_, &status) == 0;
  if (!known || !S_ISREG(status.st_mode)) {
    const int number = known ? (S_ISDIR(status.st_mode) ? EISDIR : ESPIPE) : errno;
    ::close(descriptor_);
    throw SystemError("cannot stream " + path, number);
  }
  byteLength_ = static_cast<size_t>(status.st_size);
}

File::~File() { ::close(descriptor_); }

size_t File::read(size_t fileOffset, size_t byteLength, uint8_t* target) const {
  const size_t expectedBytes = std::min(byteLength, byteLength_ - std::min(fileOffset, byteLength_));
  // A direct read of the file's last block overwrites the rest of the block in memory: put it back afterwards.
  uint8_t saved[blockBytes];
  const size_t restOfBlock = (blockBytes - expectedBytes % blockBytes) % blockBytes;
  const size_t savedBytes = direct_ ? std::min(byteLength - expectedBytes, restOfBlock) : 0;
  std::memcpy(saved, target + expectedBytes, savedBytes);

  size_t doneBytes = 0;
  while (doneBytes < expectedBytes) {
    const size_t wantedBytes = direct_ ? expectedBytes + savedBytes - doneBytes : expectedBytes - doneBytes;
    const size_t position = fileOffset + doneBytes;
    const ssize_t got = pread(descriptor_, target + doneBytes, wantedBytes, static_cast<off_t>(position));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw SystemError("cannot read " + path_ + " at byte " + std::to_string(position), errno);
    doneBytes += static_cast<size_t>(got);
    const bool ended = got == 0 || (direct_ && got % static_cast<ssize_t>(blockBytes) != 0);
    if (ended && doneBytes < expectedBytes) {
      throw SystemError("short read of " + path_ + ": it ended at byte " + std::to_string(fileOffset + doneBytes) +
                            " and had " + std::to_string(byteLength_) + " bytes when it was opened",
                        EIO);
    }
  }
  std::memcpy(target + expectedBytes, saved, savedBytes);
#ifdef POSIX_FADV_DONTNEED
  if (dropsCache_) {
    const off_t length = static_cast<off_t>(expectedBytes);
    posix_fadvise(descriptor_, static_cast<off_t>(fileOffset), length, POSIX_FADV_DONTNEED);
  }
#endif
  return expectedBytes;
}

Reader::Reader(const ReaderOptions& options, Done done)
    : options_(options), done_(std::move(done)), pacer_(options.bytesPerSecondCap) {}

void Reader::submit(std::unique_ptr<Request> request) {
  std::lock_guard<std::mutex> lock(mutex_);
  request->askedSeconds_ = nowSeconds();
  const size_t newChunks = chunksLeft(*request);
  numChunks_ += newChunks;
  queue_.push_back(request.get());
  unfinished_.push_back(std::move(request));
  // As many as there is something for: who wakes for nothing takes a core from the others.
  for (size_t i = 0; i < std::min(newChunks, numIdle_); ++i) wake_.notify_one();
  const size_t mostThreads = static_cast<size_t>(options_.readsInFlight);
  for (size_t numFree = numIdle_; numFree < numChunks_ && threads_.size() < mostThreads; ++numFree)
    threads_.emplace_back([this] { work(); });
}

/** Chunks of a request that nobody has taken. */
size_t Reader::chunksLeft(const Request& request) const {
  size_t chunks = 0;
  for (size_t i = request.rangeIndex_; i < request.ranges.size(); ++i) {
    const size_t done = i == request.rangeIndex_ ? request.rangeOffset_ : 0;
    chunks += (request.ranges[i].byteLength - done + options_.chunkBytes - 1) / options_.chunkBytes;
  }
  return chunks;
}

void Reader::stop() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  stopped_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
  queue_.clear();
  unfinished_.clear();
}

/** One reader thread: take the next chunk in order, read it, wait for its slot on the link to end, report. */
void Reader::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    numIdle_ += 1;
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    numIdle_ -= 1;
    if (stopping_) return;

    Request* request = queue_.front();
    const Range& range = request->ranges[request->rangeIndex_];
    const size_t chunkOffset = request->rangeOffset_;
    const size_t chunkBytes = std::min(options_.chunkBytes, range.byteLength - chunkOffset);
    request->rangeOffset_ += chunkBytes;
    numChunks_ -= 1;
    if (request->rangeOffset_ == range.byteLength) {
      request->rangeIndex_ += 1;
      request->rangeOffset_ = 0;
    }
    if (request->rangeIndex_ == request->ranges.size()) queue_.pop_front();
    request->chunksUnderWay_ += 1;
    // A paced read takes place when the link carries it, whenever this thread gets to run.
    const double takenSeconds = nowSeconds();
    LinkSlot slot{takenSeconds, takenSeconds};
    if (pacer_.paces()) slot = pacer_.reserve(chunkBytes, request->askedSeconds_, takenSeconds);
    if (!request->started_) request->startSeconds = slot.startSeconds;
    request->started_ = true;
    lock.unlock();

    size_t bytesRead = 0;
    int errorNumber = 0;
    std::string errorMessage;
    try {
      bytesRead = range.file->read(range.fileOffset + chunkOffset, chunkBytes,
                                   request->arena->data() + range.arenaOffset + chunkOffset);
    } catch (const SystemError& error) {
      errorNumber = error.number();
      errorMessage = error.what();
    }
    const double endSeconds = std::max(nowSeconds(), slot.endSeconds);

    lock.lock();
    if (errorMessage.empty() && pacer_.paces()) {
      using Clock = std::chrono::steady_clock;  // the same clock, CLOCK_MONOTONIC
      const std::chrono::duration<double> untilSeconds(slot.endSeconds);
      const Clock::time_point slotEnd(std::chrono::duration_cast<Clock::duration>(untilSeconds));
      stopped_.wait_until(lock, slotEnd, [this] { return stopping_; });
    }
    request->bytesRead += bytesRead;
    request->endSeconds = std::max(request->endSeconds, endSeconds);
    request->chunksUnderWay_ -= 1;
    if (!errorMessage.empty() && request->errorMessage.empty()) {
      request->errorNumber = errorNumber;
      request->errorMessage = std::move(errorMessage);
      queue_.erase(std::remove(queue_.begin(), queue_.end(), request), queue_.end());  // hand out no more of it
      numChunks_ -= chunksLeft(*request);
      request->rangeIndex_ = request->ranges.size();
    }
    if (request->chunksUnderWay_ == 0 && request->rangeIndex_ == request->ranges.size()) finish(request, lock);
  }
}

/** Hands a finished request over, outside the lock. */
void Reader::finish(Request* request, std::unique_lock<std::mutex>& lock) {
  const auto owner = std::find_if(unfinished_.begin(), unfinished_.end(),
                                  [request](const auto& other) { return other.get() == request; });
  std::unique_ptr<Request> finished = std::move(*owner);
  unfinished_.erase(owner);
  if (stopping_) return;
  lock.unlock();
  done_(std::move(finished));
  lock.lock();
}

}  // namespace specoffload
