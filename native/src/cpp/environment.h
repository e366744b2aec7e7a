// What one JavaScript environment (the main thread or a worker thread) owns, and the checks at its door.
#pragma once

#include <napi.h>

#include <memory>
#include <string>
#include <unordered_map>

#include "arena.h"
#include "error.h"
#include "workers.h"

namespace specoffload {

/** Keeps an arena alive until JavaScript lets go of the ArrayBuffer over it, or releases the arena. */
struct ArenaHold {
  std::shared_ptr<Arena> arena;
};

/** An arena as this environment sees it. */
struct OpenArena {
  ArenaHold* hold;  // owned by the ArrayBuffer's finalizer
  size_t numHolders;
  Napi::Reference<Napi::ArrayBuffer> buffer;  // weak
};

using OpenArenas = std::unordered_map<uint64_t, OpenArena>;

struct Environment {
  // Shared with the finalizers of its ArrayBuffers, which may run last.
  std::shared_ptr<OpenArenas> arenas = std::make_shared<OpenArenas>();
  Workers workers;  // joins its threads when the environment ends
};

void initArenas(Napi::Env env, Napi::Object exports);
void initStreamer(Napi::Env env, Napi::Object exports);
void initCompute(Napi::Env env, Napi::Object exports);
void initProducts(Napi::Env env, Napi::Object exports);
/** Only where the core is built with Vulkan's headers. */
void initVulkan(Napi::Env env, Napi::Object exports);

/** The arena of that id, open in this environment. */
std::shared_ptr<Arena> openArenaOf(Napi::Env env, const Napi::Value& id);

/** The largest that JavaScript's numbers hold without a gap. */
constexpr size_t maxWholeNumber = (size_t{1} << 53) - 1;

/** `invalid ${name}: ${value}; expected a whole number from ${least} to ${most}`, or the number. */
size_t wholeNumber(const Napi::Value& value, const char* name, size_t least, size_t most);

/** Bytes [offset, offset + length) of an arena, or a RangeError naming the offset. */
uint8_t* bytesOf(const Arena& arena, size_t offset, size_t length, const char* name);

/** The JavaScript error of a failed system call. */
Napi::Error systemErrorOf(Napi::Env env, const std::string& message, int number);

/** Runs `body` and turns the core's exceptions into JavaScript's. */
template <typename Body>
auto guard(Napi::Env env, Body body) {
  try {
    return body();
  } catch (const RangeError& error) {
    throw Napi::RangeError::New(env, error.what());
  } catch (const SystemError& error) {
    throw systemErrorOf(env, error.what(), error.number());
  } catch (const std::bad_alloc&) {
    throw Napi::Error::New(env, "out of memory");
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
}

}  // namespace specoffload
