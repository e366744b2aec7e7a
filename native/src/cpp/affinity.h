// Which cores threads may run on.
#pragma once

#include <vector>

namespace specoffload {

/** The affinity mask of this process's main thread, by core number; empty where the system does not tell. */
std::vector<int> allowedCores();

/** Pins the calling thread, and threads it starts later. Throws SystemError when the system refuses. */
bool pinThread(const std::vector<int>& cores);

}  // namespace specoffload
