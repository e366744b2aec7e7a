// Helper threads that share the items of one job at a time with the thread that asks.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace specoffload {

class Pool {
public:
  /** One item of a job, done by participant 0 (the caller) or a helper. Must not throw. */
  using Work = std::function<void(size_t item, int participant)>;

  Pool() = default;
  ~Pool();
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  /** Runs all items on up to `threads` threads, the caller included; starts helpers that are missing. */
  void run(int threads, size_t numItems, const Work& work);

private:
  void help(int participant);
  void takeItems(const Work& work, int participant);

  std::mutex mutex_;
  std::condition_variable wake_;  // helpers sleep here between jobs
  std::condition_variable left_;  // the caller waits here for helpers in the job
  const Work* work_ = nullptr;    // the job under way
  size_t numItems_ = 0;
  std::atomic<size_t> nextItem_{0};
  int seats_ = 0;   // helpers that may still join the job
  int inside_ = 0;  // helpers in the job
  bool stopping_ = false;
  std::vector<std::thread> helpers_;  // last: they use everything above
};

}  // namespace specoffload
