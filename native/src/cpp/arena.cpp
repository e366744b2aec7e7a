#include "arena.h"

#include <sys/mman.h>

#include <mutex>
#include <unordered_map>

#include "error.h"

namespace specoffload {

namespace {

constexpr size_t pageBytes = 4096;
constexpr size_t hugePageBytes = size_t{2} << 20;

size_t roundUp(size_t value, size_t multiple) { return (value + multiple - 1) / multiple * multiple; }

/**
 * Who is alive, by id. Weak, so that the registry itself never keeps memory: an id that travels between threads is
 * good for as long as somebody holds the arena. The id is the only process-wide state of the addon.
 */
struct Registry {
  std::mutex mutex;
  uint64_t nextId = 1;
  std::unordered_map<uint64_t, std::weak_ptr<Arena>> arenas;
};

// Never destroyed: arenas may outlive static destruction when the process exits with a worker thread running.
Registry& registry() {
  static Registry* instance = new Registry;
  return *instance;
}

}  // namespace

Arena::Arena(uint64_t id, size_t byteLength) : id_(id), byteLength_(byteLength) {
  // Large arenas start on a huge page border, because the system backs only aligned 2 MiB blocks with huge pages.
  const bool huge = byteLength >= hugePageBytes;
  mappedBytes_ = roundUp(byteLength, huge ? hugePageBytes : pageBytes);
  const size_t reservedBytes = mappedBytes_ + (huge ? hugePageBytes : 0);
  void* start =
      mmap(nullptr, reservedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (start == MAP_FAILED) throw SystemError("cannot reserve " + std::to_string(byteLength) + " bytes", errno);
  data_ = static_cast<uint8_t*>(start);
  if (!huge) return;

  const size_t headBytes = roundUp(reinterpret_cast<size_t>(start), hugePageBytes) - reinterpret_cast<size_t>(start);
  const size_t tailBytes = reservedBytes - headBytes - mappedBytes_;
  if (headBytes > 0) munmap(data_, headBytes);
  data_ += headBytes;
  if (tailBytes > 0) munmap(data_ + mappedBytes_, tailBytes);
  madvise(data_, mappedBytes_, MADV_HUGEPAGE);  // a wish: failure costs speed only
}

Arena::~Arena() {
  {
    std::lock_guard<std::mutex> lock(registry().mutex);
    registry().arenas.erase(id_);
  }
  munmap(data_, mappedBytes_);
}

std::shared_ptr<Arena> createArena(size_t byteLength) {
  Registry& all = registry();
  uint64_t id;
  {
    std::lock_guard<std::mutex> lock(all.mutex);
    id = all.nextId++;
  }
  auto arena = std::make_shared<Arena>(id, byteLength);
  std::lock_guard<std::mutex> lock(all.mutex);
  all.arenas.emplace(id, arena);
  return arena;
}

std::shared_ptr<Arena> findArena(uint64_t id) {
  Registry& all = registry();
  std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.arenas.find(id);
  return found == all.arenas.end() ? nullptr : found->second.lock();
}

}  // namespace specoffload
