// Threads that read file ranges into an arena, first asked first served. Knows nothing of JavaScript.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "arena.h"
#include "pacer.h"

namespace specoffload {

/** An open file; closed when the last request that reads it is gone. */
class File {
public:
  File(const std::string& path, bool direct);
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& path() const { return path_; }
  size_t byteLength() const { return byteLength_; }
  bool direct() const { return direct_; }

  /**
   * Reads [fileOffset, fileOffset + byteLength) to `target` and returns the bytes that lie before the end of the
   * file; the bytes of `target` after them keep their values. Throws SystemError when the file gives less.
   */
  size_t read(size_t fileOffset, size_t byteLength, uint8_t* target) const;

private:
  std::string path_;
  int descriptor_ = -1;
  size_t byteLength_ = 0;
  bool direct_ = false;
  bool dropsCache_ = false;  // direct reads were asked for and refused
};

struct Range {
  std::shared_ptr<File> file;
  size_t fileOffset;
  size_t byteLength;
  size_t arenaOffset;
};

/** One call of read. The reader owns it from submit until it hands it to `done`. */
struct Request {
  virtual ~Request() = default;

  std::vector<Range> ranges;
  std::shared_ptr<Arena> arena;  // held until the last chunk is in, whatever JavaScript has released meanwhile

  // The outcome, complete when `done` sees it.
  double startSeconds = 0;
  double endSeconds = 0;
  size_t bytesRead = 0;
  int errorNumber = 0;
  std::string errorMessage;  // empty when all went well

private:
  friend class Reader;
  double askedSeconds_ = 0;
  size_t rangeIndex_ = 0;   // next chunk to hand out:
  size_t rangeOffset_ = 0;  // bytes of ranges[rangeIndex_] already handed out
  int chunksUnderWay_ = 0;
  bool started_ = false;
};

struct ReaderOptions {
  int readsInFlight;
  size_t chunkBytes;
  double bytesPerSecondCap;  // 0 for none
};

class Reader {
public:
  /** Called on a reader thread. Don't touch JavaScript. */
  using Done = std::function<void(std::unique_ptr<Request>)>;

  Reader(const ReaderOptions& options, Done done);
  ~Reader() { stop(); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /** Queues a request with at least one range; starts threads while there are chunks for more. */
  void submit(std::unique_ptr<Request> request);

  /** Abandons what is queued, waits for the chunks under way and joins the threads. `done` is not called again. */
  void stop();

private:
  void work();
  size_t chunksLeft(const Request& request) const;
  void finish(Request* request, std::unique_lock<std::mutex>& lock);

  const ReaderOptions options_;
  const Done done_;
  std::mutex mutex_;
  std::condition_variable wake_;     // there are chunks, or it is stopping
  std::condition_variable stopped_;  // of a thread that has its chunk: a call for an idle one must not end here
  Pacer pacer_;
  std::deque<Request*> queue_;                        // those with chunks left to hand out, in order of submission
  std::vector<std::unique_ptr<Request>> unfinished_;  // owns every request between submit and done
  bool stopping_ = false;
  size_t numChunks_ = 0;    // of all in the queue
  size_t numIdle_ = 0;      // threads that wait for one; who has just been started will find one
  std::vector<std::thread> threads_;  // last: they use everything above
};

}  // namespace specoffload
