#include "kernels.h"

#include <atomic>

namespace specoffload {

namespace baseline {
extern const Kernels table;
}
#if defined(__x86_64__)
namespace avx2 {
extern const Kernels table;
}
namespace avx512 {
extern const Kernels table;
}
#endif

namespace {

/** The best last. Flags of `native/build.mjs`; whoever has AVX2 and FMA has F16C too. */
std::vector<const Kernels*> runnable() {
  std::vector<const Kernels*> tables = {&baseline::table};
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return tables;
  tables.push_back(&avx2::table);
  const bool hasVectorsOf512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  if (hasVectorsOf512) tables.push_back(&avx512::table);
#endif
  return tables;
}

std::atomic<const Kernels*>& inUse() {
  static std::atomic<const Kernels*> table{runnable().back()};
  return table;
}

}  // namespace

const Kernels& kernels() { return *inUse().load(std::memory_order_relaxed); }

std::vector<std::string> kernelLevels() {
  std::vector<std::string> levels;
  for (const Kernels* table : runnable()) levels.push_back(table->level);
  return levels;
}

bool useKernels(const std::string& level) {
  for (const Kernels* table : runnable()) {
    if (level != table->level) continue;
    inUse().store(table, std::memory_order_relaxed);
    return true;
  }
  return false;
}

}  // namespace specoffload
