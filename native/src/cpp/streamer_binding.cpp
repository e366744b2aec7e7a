// The streamer in JavaScript: an object that owns a Reader and settles promises on the thread that asked.
#include <napi.h>

#include <algorithm>
#include <memory>
#include <unordered_map>

#include "environment.h"
#include "error.h"
#include "reader.h"

namespace specoffload {

namespace {

constexpr size_t rangeFields = 4;  // (range, 4): file id, file offset, byte length, arena offset

/** A request that remembers the promise it settles. */
struct PromisedRead : Request {
  explicit PromisedRead(Napi::Env env) : promise(Napi::Promise::Deferred::New(env)) {}
  Napi::Promise::Deferred promise;  // touched on the JavaScript thread only
};

class StreamerObject : public Napi::ObjectWrap<StreamerObject> {
public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Streamer",
                       {InstanceMethod("open", &StreamerObject::open), InstanceMethod("read", &StreamerObject::read),
                        InstanceMethod("close", &StreamerObject::close)});
  }

  /** new Streamer(readsInFlight, chunkBytes, direct, bytesPerSecondCap or 0) */
  explicit StreamerObject(const Napi::CallbackInfo& info);
  ~StreamerObject() override;
  StreamerObject(const StreamerObject&) = delete;
  StreamerObject& operator=(const StreamerObject&) = delete;

private:
  Napi::Value open(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  void settle(Napi::Env env, PromisedRead& read);
  void finishClosing();

  static void settleOnJsThread(Napi::Env env, Napi::Function, StreamerObject* streamer, PromisedRead* read);
  static void stopAtEnvironmentEnd(void* streamer);

  using Settler = Napi::TypedThreadSafeFunction<StreamerObject, PromisedRead, &StreamerObject::settleOnJsThread>;

  Napi::Env env_;
  bool direct_ = true;
  std::unordered_map<size_t, std::shared_ptr<File>> files_;
  size_t nextFileId_ = 1;
  size_t numPending_ = 0;  // reads whose promise is not settled; while there are any, this object is kept alive
  bool closed_ = false;
  std::unique_ptr<Napi::Promise::Deferred> closing_;
  Settler settler_;
  bool settlerOpen_ = false;
  std::unique_ptr<Reader> reader_;  // last: its threads call settler_, so it goes first
};

StreamerObject::StreamerObject(const Napi::CallbackInfo& info)
    : Napi::ObjectWrap<StreamerObject>(info), env_(info.Env()) {
  guard(env_, [&] {
    ReaderOptions options;
    options.readsInFlight = static_cast<int>(wholeNumber(info[0], "readsInFlight", 1, 64));
    options.chunkBytes = wholeNumber(info[1], "chunkBytes", 4096, size_t{1} << 30);
    direct_ = info[2].ToBoolean();
    options.bytesPerSecondCap = info[3].ToNumber().DoubleValue();
    settler_ = Settler::New(env_, "specoffload streamer", 0, 1, this);
    settlerOpen_ = true;
    settler_.Unref(env_);
    // Added after the settler, so it runs before the settler's own clean-up: threads are gone before it is.
    napi_add_env_cleanup_hook(env_, stopAtEnvironmentEnd, this);
    reader_ = std::make_unique<Reader>(options, [this](std::unique_ptr<Request> request) {
      // Reader thread. Don't touch JavaScript. Nobody waits for the answer once the environment is closing.
      std::unique_ptr<PromisedRead> read(static_cast<PromisedRead*>(request.release()));
      if (settler_.NonBlockingCall(read.get()) == napi_ok) read.release();
    });
  });
}

StreamerObject::~StreamerObject() { finishClosing(); }

/** The environment goes away with reads under way: abandon them. Their promises are never settled. */
void StreamerObject::stopAtEnvironmentEnd(void* streamer) {
  auto* self = static_cast<StreamerObject*>(streamer);
  if (self->reader_) self->reader_->stop();
  self->settlerOpen_ = false;  // Node ends it by itself from here on
}

/** Joins the (idle) threads and closes the files. Again harmless. */
void StreamerObject::finishClosing() {
  if (reader_) reader_->stop();
  files_.clear();
  if (!settlerOpen_) return;
  settlerOpen_ = false;
  napi_remove_env_cleanup_hook(env_, stopAtEnvironmentEnd, this);
  settler_.Release();
}

/** open(path) -> {id, byteLength, direct} */
Napi::Value StreamerObject::open(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    if (closed_) throw std::runtime_error("the streamer is closed");
    auto file = std::make_shared<File>(info[0].ToString().Utf8Value(), direct_);
    Napi::Object result = Napi::Object::New(env);
    result.Set("id", Napi::Number::New(env, static_cast<double>(nextFileId_)));
    result.Set("byteLength", Napi::Number::New(env, static_cast<double>(file->byteLength())));
    result.Set("direct", Napi::Boolean::New(env, file->direct()));
    files_.emplace(nextFileId_++, std::move(file));
    return result;
  });
}

/** read(ranges: Float64Array (range, 4), arenaId) -> Promise of [startSeconds, endSeconds, bytesRead] */
Napi::Value StreamerObject::read(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guard(env, [&]() -> Napi::Value {
    if (closed_) throw std::runtime_error("the streamer is closed");
    const auto fields = info[0].As<Napi::Float64Array>();
    auto read = std::make_unique<PromisedRead>(env);
    read->arena = openArenaOf(env, info[1]);
    const size_t numRanges = fields.ElementLength() / rangeFields;
    if (numRanges == 0) throw RangeError("invalid ranges: none; expected at least one");
    for (size_t i = 0; i < numRanges; ++i) {
      const auto field = [&](size_t f, const char* name, size_t least) {
        return wholeNumber(Napi::Number::New(env, fields[i * rangeFields + f]), name, least, maxWholeNumber);
      };
      const auto file = files_.find(field(0, "file id", 1));
      if (file == files_.end()) throw RangeError("invalid file id; expected one that this streamer opened");
      Range range{file->second, field(1, "fileOffset", 0), field(2, "byteLength", 1), field(3, "arenaOffset", 0)};
      bytesOf(*read->arena, range.arenaOffset, range.byteLength, "arenaOffset");
      read->ranges.push_back(std::move(range));
    }
    const Napi::Promise promise = read->promise.Promise();
    if (numPending_ == 0) {
      Ref();
      settler_.Ref(env);
    }
    numPending_ += 1;
    reader_->submit(std::move(read));
    return promise;
  });
}

/** close() -> Promise: settled when the reads under way are. Call once. */
Napi::Value StreamerObject::close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  closed_ = true;
  closing_ = std::make_unique<Napi::Promise::Deferred>(Napi::Promise::Deferred::New(env));
  const Napi::Promise promise = closing_->Promise();
  if (numPending_ == 0) {
    finishClosing();
    closing_->Resolve(env.Undefined());
  }
  return promise;
}

void StreamerObject::settleOnJsThread(Napi::Env env, Napi::Function, StreamerObject* streamer, PromisedRead* read) {
  const std::unique_ptr<PromisedRead> owned(read);
  if (static_cast<napi_env>(env) == nullptr) return;  // the environment is closing
  streamer->settle(env, *owned);
}

void StreamerObject::settle(Napi::Env env, PromisedRead& read) {
  const Napi::HandleScope scope(env);
  if (read.errorMessage.empty()) {
    Napi::Array report = Napi::Array::New(env, 3);
    report.Set(0u, Napi::Number::New(env, read.startSeconds));
    report.Set(1u, Napi::Number::New(env, read.endSeconds));
    report.Set(2u, Napi::Number::New(env, static_cast<double>(read.bytesRead)));
    read.promise.Resolve(report);
  } else {
    read.promise.Reject(systemErrorOf(env, read.errorMessage, read.errorNumber).Value());
  }
  numPending_ -= 1;
  if (numPending_ > 0) return;
  settler_.Unref(env);
  if (closing_) {
    finishClosing();
    closing_->Resolve(env.Undefined());
  }
  Unref();  // may be the last: touch nothing after it
}

}  // namespace

void initStreamer(Napi::Env env, Napi::Object exports) { exports.Set("Streamer", StreamerObject::define(env)); }

}  // namespace specoffload
