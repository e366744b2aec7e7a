// One block of anonymous memory, owned by everybody who holds a shared_ptr to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

namespace specoffload {

class Arena {
public:
  /** Reserves addresses only: the system commits a page when somebody first touches it. */
  Arena(uint64_t id, size_t byteLength);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  uint64_t id() const { return id_; }
  uint8_t* data() const { return data_; }
  size_t byteLength() const { return byteLength_; }
  /** The same, up to whole pages. */
  size_t mappedBytes() const { return mappedBytes_; }

private:
  const uint64_t id_;
  const size_t byteLength_;
  size_t mappedBytes_;
  uint8_t* data_ = nullptr;
};

/** Creates an arena that other threads of this process find by its id. */
std::shared_ptr<Arena> createArena(size_t byteLength);

/** The living arena of that id, or null when its last holder has dropped it. */
std::shared_ptr<Arena> findArena(uint64_t id);

}  // namespace specoffload
