// Vulkan in JavaScript, in the parts that files of this folder add.
#pragma once

#include <napi.h>

#include <memory>

#include "../environment.h"
#include "gpu.h"
#include "session.h"
#include "vulkan_error.h"

namespace specoffload::vulkan {

/** Opened by this process and not closed yet, by their numbers. */
std::shared_ptr<Session> sessionOf(uint64_t id);

void defineDevices(Napi::Env env, Napi::Object exports);
void defineQueue(Napi::Env env, Napi::Object exports);
void definePower(Napi::Env env, Napi::Object exports);

/** What Vulkan refuses, as a JavaScript error whose code is VULKAN. */
Napi::Error vulkanErrorOf(Napi::Env env, const std::string& message);

/** As `guard`, with such errors among those that it turns into JavaScript's. */
template <typename Body>
auto guardVulkan(Napi::Env env, Body body) {
  return guard(env, [&] {
    try {
      return body();
    } catch (const VulkanError& error) {
      throw vulkanErrorOf(env, error.what());
    }
  });
}

}  // namespace specoffload::vulkan
