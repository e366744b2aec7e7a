// Vulkan in JavaScript, in the parts that files of this folder add.
#pragma once

#include <napi.h>

#include <memory>

#include "gpu.h"
#include "session.h"

namespace specoffload::vulkan {

/** Opened by this process and not closed yet, by their numbers. */
std::shared_ptr<Session> sessionOf(uint64_t id);

void defineDevices(Napi::Env env, Napi::Object exports);
void defineQueue(Napi::Env env, Napi::Object exports);

/** Runs the body, and turns what Vulkan refuses into a JavaScript error whose code is VULKAN. */
Napi::Error vulkanErrorOf(Napi::Env env, const std::string& message);

}  // namespace specoffload::vulkan
