// Arenas in JavaScript: one external ArrayBuffer per arena and environment.
//
// JavaScript can let go of memory in two ways, and both end here. `releaseArena` detaches the ArrayBuffer, so that
// every view of it becomes empty before the memory goes. And an ArrayBuffer that nobody can reach any more is
// collected, and its finalizer drops the hold.
#include "environment.h"
#include "error.h"

namespace specoffload {

namespace {


Environment& environmentOf(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

Napi::ArrayBuffer wrap(Napi::Env env, std::shared_ptr<Arena> arena) {
  std::shared_ptr<OpenArenas> arenas = environmentOf(env).arenas;
  const uint64_t id = arena->id();
  uint8_t* const data = arena->data();
  const size_t byteLength = arena->byteLength();
  auto hold = std::make_unique<ArenaHold>(ArenaHold{std::move(arena)});
  ArenaHold* const held = hold.get();
  // V8 counts all of it as memory that a collection might free, though most of it is not even committed. That costs
  // one collection per arena, and no more afterwards (test/native/arena.test.ts counts them): not worth evening the
  // books by hand, which Node 24 and later answer by ending the process when the buffer is detached.
  auto buffer = Napi::ArrayBuffer::New(env, data, byteLength, [arenas, id, held](Napi::Env, void*) {
    const auto open = arenas->find(id);
    if (open != arenas->end() && open->second.hold == held) arenas->erase(open);
    delete held;
  });
  hold.release();  // the finalizer's from here on
  arenas->insert_or_assign(id, OpenArena{held, 1, Napi::Weak(buffer)});
  return buffer;
}

/** createArena(byteLength) -> {id, buffer} */
Napi::Value createArenaFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const size_t byteLength = wholeNumber(info[0], "byteLength", 1, maxWholeNumber);
    std::shared_ptr<Arena> arena = createArena(byteLength);
    Napi::Object result = Napi::Object::New(env);
    result.Set("id", Napi::Number::New(env, static_cast<double>(arena->id())));
    result.Set("buffer", wrap(env, std::move(arena)));
    return result;
  });
}

/** openArena(id) -> ArrayBuffer, the same one for every call in this environment */
Napi::Value openArenaFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    const uint64_t id = wholeNumber(info[0], "arena id", 1, maxWholeNumber);
    OpenArenas& arenas = *environmentOf(env).arenas;
    const auto open = arenas.find(id);
    if (open != arenas.end()) {
      const Napi::ArrayBuffer buffer = open->second.buffer.Value();
      if (!buffer.IsEmpty()) {
        open->second.numHolders += 1;
        return buffer;
      }
    }
    std::shared_ptr<Arena> arena = findArena(id);
    if (!arena) {
      throw RangeError("invalid arena id: " + std::to_string(id) +
                       "; expected an arena that some thread of this process still holds");
    }
    return wrap(env, std::move(arena));
  });
}

/** releaseArena(id): drops one hold of this environment; with the last one the ArrayBuffer is detached. */
void releaseArenaFrom(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  guard(env, [&] {
    const uint64_t id = wholeNumber(info[0], "arena id", 1, maxWholeNumber);
    OpenArenas& arenas = *environmentOf(env).arenas;
    const auto open = arenas.find(id);
    if (open == arenas.end()) return;
    open->second.numHolders -= 1;
    if (open->second.numHolders > 0) return;
    Napi::ArrayBuffer buffer = open->second.buffer.Value();
    ArenaHold* const hold = open->second.hold;
    if (!buffer.IsEmpty()) buffer.Detach();
    // The finalizer runs some turns of the event loop later; the memory need not wait for it.
    std::shared_ptr<Arena> last = std::move(hold->arena);
    arenas.erase(open);
  });
}

}  // namespace

std::shared_ptr<Arena> openArenaOf(Napi::Env env, const Napi::Value& value) {
  const uint64_t id = wholeNumber(value, "arena id", 1, maxWholeNumber);
  const OpenArenas& arenas = *environmentOf(env).arenas;
  const auto open = arenas.find(id);
  if (open == arenas.end()) {
    throw RangeError("invalid arena id: " + std::to_string(id) + "; expected an arena that this thread has open");
  }
  return open->second.hold->arena;
}

void initArenas(Napi::Env env, Napi::Object exports) {
  exports.Set("createArena", Napi::Function::New(env, createArenaFrom, "createArena"));
  exports.Set("openArena", Napi::Function::New(env, openArenaFrom, "openArena"));
  exports.Set("releaseArena", Napi::Function::New(env, releaseArenaFrom, "releaseArena"));
}

}  // namespace specoffload
