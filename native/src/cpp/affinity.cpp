#include "affinity.h"

#include <sched.h>
#include <unistd.h>

#include "error.h"

namespace specoffload {

namespace {

/** CPU sets of the size this machine needs: the kernel refuses sets smaller than its own. */
class CoreSet {
public:
  explicit CoreSet(size_t numCores) : bytes_(CPU_ALLOC_SIZE(numCores)), set_(CPU_ALLOC(numCores)) {
    CPU_ZERO_S(bytes_, set_);
  }
  ~CoreSet() { CPU_FREE(set_); }
  CoreSet(const CoreSet&) = delete;
  CoreSet& operator=(const CoreSet&) = delete;

  size_t bytes() const { return bytes_; }
  cpu_set_t* get() const { return set_; }

private:
  size_t bytes_;
  cpu_set_t* set_;
};

}  // namespace

std::vector<int> allowedCores() {
  for (size_t numCores = 1024; numCores <= size_t{1} << 18; numCores *= 4) {
    const CoreSet set(numCores);
    if (sched_getaffinity(getpid(), set.bytes(), set.get()) != 0) {
      if (errno == EINVAL) continue;  // too small
      return {};
    }
    std::vector<int> cores;
    for (size_t core = 0; core < numCores; ++core) {
      if (CPU_ISSET_S(core, set.bytes(), set.get())) cores.push_back(static_cast<int>(core));
    }
    return cores;
  }
  return {};
}

bool pinThread(const std::vector<int>& cores) {
  int largest = 0;
  for (const int core : cores) largest = core > largest ? core : largest;
  const CoreSet set(static_cast<size_t>(largest) + 1);
  for (const int core : cores) CPU_SET_S(core, set.bytes(), set.get());
  if (sched_setaffinity(0, set.bytes(), set.get()) != 0) throw SystemError("cannot pin the thread", errno);
  return true;
}

}  // namespace specoffload
