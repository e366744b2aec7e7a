#include "pool.h"

#include <algorithm>

namespace specoffload {

Pool::~Pool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Pool::run(int threads, size_t numItems, const Work& work) {
  const int wanted = static_cast<int>(std::min<size_t>(static_cast<size_t>(threads), numItems)) - 1;
  if (wanted <= 0) {
    for (size_t item = 0; item < numItems; ++item) work(item, 0);
    return;
  }
  {
    std::lock_guard<std::mutex> lock(mutex_);
    work_ = &work;
    numItems_ = numItems;
    nextItem_.store(0, std::memory_order_relaxed);
    seats_ = wanted;
    while (helpers_.size() < static_cast<size_t>(wanted)) {
      const int participant = static_cast<int>(helpers_.size()) + 1;
      helpers_.emplace_back([this, participant] { help(participant); });
    }
  }
  wake_.notify_all();
  takeItems(work, 0);
  // Helpers that slept through the job are not waited for.
  std::unique_lock<std::mutex> lock(mutex_);
  seats_ = 0;
  left_.wait(lock, [this] { return inside_ == 0; });
  work_ = nullptr;
}

void Pool::help(int participant) {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || seats_ > 0; });
    if (stopping_) return;
    seats_ -= 1;
    inside_ += 1;
    const Work& work = *work_;
    lock.unlock();
    takeItems(work, participant);
    lock.lock();
    inside_ -= 1;
    if (inside_ == 0) left_.notify_one();
  }
}

void Pool::takeItems(const Work& work, int participant) {
  for (size_t item = nextItem_.fetch_add(1); item < numItems_; item = nextItem_.fetch_add(1)) work(item, participant);
}

}  // namespace specoffload
