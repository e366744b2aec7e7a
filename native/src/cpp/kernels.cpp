#include "kernels.h"

#include <atomic>

#if defined(SPECOFFLOAD_TILES)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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
#if defined(SPECOFFLOAD_TILES)
namespace amx {
void multiply(const ProductCall& call, Workers& workers);
bool feedForward(const FeedForwardCall& call, Workers& workers);
}
#endif

namespace {

#if defined(SPECOFFLOAD_TILES)

/** Whether there are tiles of bf16, and the system saves them with a thread's registers, for which it wants to be asked. */
bool mayUseTiles() {
  unsigned eax, ebx, ecx, edx;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0) return false;
  constexpr unsigned tilesOfBf16 = 1u << 22 | 1u << 24;
  if ((edx & tilesOfBf16) != tilesOfBf16) return false;
  constexpr int requestPermission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr int tileData = 18;
  static const bool isPermitted = syscall(SYS_arch_prctl, requestPermission, tileData) == 0;
  return isPermitted;
}

/** Those for vectors of 512 bits, with other products. */
const Kernels& tileKernels() {
  static const Kernels table = [] {
    Kernels kernels = avx512::table;
    kernels.level = "amx";
    kernels.multiply = amx::multiply;
    kernels.feedForward = amx::feedForward;
    return kernels;
  }();
  return table;
}

#endif

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
#if defined(SPECOFFLOAD_TILES)
  if (hasVectorsOf512 && mayUseTiles()) tables.push_back(&tileKernels());
#endif
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
