// A queue in JavaScript: lists of operations as numbers in, a promise of times and answers out.
#include <cmath>
#include <cstring>

#include "binding.h"
#include "queue.h"

namespace specoffload::vulkan {

namespace {

/** An address is `space * spaceBytes + offset`, which a double holds exactly. */
constexpr uint64_t spaceBytes = uint64_t{1} << 48;

struct PromisedSubmission : Submission {
  explicit PromisedSubmission(Napi::Env env) : promise(Napi::Promise::Deferred::New(env)) {}
  Napi::Promise::Deferred promise;  // touched on the JavaScript thread only
};

/** Reads the numbers of a list of operations one after the other. */
class Numbers {
public:
  Numbers(const double* values, size_t count) : values_(values), count_(count) {}
  bool isAtEnd() const { return at_ == count_; }
  uint64_t next(uint64_t most = maxWholeNumber) {
    if (at_ == count_) throw RangeError("invalid operations: cut short");
    const double value = values_[at_++];
    if (!(value >= 0 && value <= static_cast<double>(most)) || std::floor(value) != value) {
      throw RangeError("invalid operations: " + std::to_string(value) + " at " + std::to_string(at_ - 1));
    }
    return static_cast<uint64_t>(value);
  }
  Address nextAddress() {
    const uint64_t number = next();
    const uint64_t space = number / spaceBytes;
    if (space > static_cast<uint64_t>(Space::nowhere)) throw RangeError("invalid operations: an address in no memory");
    return {static_cast<Space>(space), number % spaceBytes};
  }

private:
  const double* values_;
  size_t count_;
  size_t at_ = 0;
};

/**
 * 0: a barrier. 1, from, to, bytes: a copy. 2, to, bytes: zeros. 3, kernel, groups along x, y and z, number of
 * addresses, addresses, number of words, words: a dispatch.
 */
void readOperations(Numbers numbers, Submission& submission) {
  while (!numbers.isAtEnd()) {
    Operation operation;
    operation.kind = static_cast<OperationKind>(numbers.next(3));
    switch (operation.kind) {
      case OperationKind::barrier: break;
      case OperationKind::copy:
        operation.from = numbers.nextAddress();
        operation.to = numbers.nextAddress();
        operation.bytes = numbers.next();
        break;
      case OperationKind::fill:
        operation.to = numbers.nextAddress();
        operation.bytes = numbers.next();
        break;
      case OperationKind::dispatch:
        operation.kernel = static_cast<uint32_t>(numbers.next(UINT32_MAX));
        for (uint32_t& groups : operation.groups) groups = static_cast<uint32_t>(numbers.next(UINT32_MAX));
        operation.firstAddress = static_cast<uint32_t>(submission.addresses.size());
        operation.numAddresses = static_cast<uint32_t>(numbers.next(16));
        for (uint32_t i = 0; i < operation.numAddresses; ++i) submission.addresses.push_back(numbers.nextAddress());
        operation.firstWord = static_cast<uint32_t>(submission.words.size());
        operation.numWords = static_cast<uint32_t>(numbers.next(32));
        for (uint32_t i = 0; i < operation.numWords; ++i) {
          submission.words.push_back(static_cast<uint32_t>(numbers.next(UINT32_MAX)));
        }
        break;
    }
    submission.operations.push_back(operation);
  }
}

class QueueObject : public Napi::ObjectWrap<QueueObject> {
public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Queue",
                       {InstanceMethod("submit", &QueueObject::submit), InstanceMethod("close", &QueueObject::close)});
  }

  /** new Queue(sessionId, isCopy) */
  explicit QueueObject(const Napi::CallbackInfo& info);
  ~QueueObject() override { finishClosing(); }
  QueueObject(const QueueObject&) = delete;
  QueueObject& operator=(const QueueObject&) = delete;

private:
  Napi::Value submit(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  void settle(Napi::Env env, PromisedSubmission& submission);
  void finishClosing();

  static void settleOnJsThread(Napi::Env env, Napi::Function, QueueObject* queue,
                               std::shared_ptr<Submission>* submission);
  static void stopAtEnvironmentEnd(void* queue);

  using Settler = Napi::TypedThreadSafeFunction<QueueObject, std::shared_ptr<Submission>, &QueueObject::settleOnJsThread>;

  Napi::Env env_;
  size_t numPending_ = 0;  // submissions whose promise is not settled; while there are any, this object is kept alive
  std::unique_ptr<Napi::Promise::Deferred> closing_;
  Settler settler_;
  bool settlerOpen_ = false;
  std::unique_ptr<Queue> queue_;  // last: its threads call settler_, so it goes first
};

QueueObject::QueueObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<QueueObject>(info), env_(info.Env()) {
  guardVulkan(env_, [&] {
    std::shared_ptr<Session> session = sessionOf(wholeNumber(info[0], "session", 1, maxWholeNumber));
    settler_ = Settler::New(env_, "specoffload vulkan queue", 0, 1, this);
    settlerOpen_ = true;
    settler_.Unref(env_);
    // Added after the settler, so it runs before the settler's own clean-up: threads are gone before it is.
    napi_add_env_cleanup_hook(env_, stopAtEnvironmentEnd, this);
    const bool isCopy = info[1].ToBoolean();
    queue_ = std::make_unique<Queue>(std::move(session), isCopy, [this](std::shared_ptr<Submission> submission) {
      // A thread of the queue. Don't touch JavaScript. Nobody waits for the answer once the environment is closing.
      auto* const handed = new std::shared_ptr<Submission>(std::move(submission));
      if (settler_.NonBlockingCall(handed) != napi_ok) delete handed;
    });
  });
}

void QueueObject::stopAtEnvironmentEnd(void* queue) {
  auto* self = static_cast<QueueObject*>(queue);
  self->queue_.reset();
  self->settlerOpen_ = false;  // Node ends it by itself from here on
}

/** Ends the threads and lets go of the session. Again harmless. */
void QueueObject::finishClosing() {
  queue_.reset();
  if (!settlerOpen_) return;
  settlerOpen_ = false;
  napi_remove_env_cleanup_hook(env_, stopAtEnvironmentEnd, this);
  settler_.Release();
}

/** submit(operations: Float64Array, data: Uint8Array, answerBytes) -> Promise of [start, end, answers: ArrayBuffer, kindSeconds] */
Napi::Value QueueObject::submit(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  return guardVulkan(env, [&]() -> Napi::Value {
    if (!queue_ || closing_) throw std::runtime_error("the queue is closed");
    const auto operations = info[0].As<Napi::Float64Array>();
    const auto data = info[1].As<Napi::Uint8Array>();
    auto submission = std::make_shared<PromisedSubmission>(env);
    readOperations(Numbers(operations.Data(), operations.ElementLength()), *submission);
    submission->data.assign(data.Data(), data.Data() + data.ByteLength());
    submission->answerBytes = wholeNumber(info[2], "answerBytes", 0, maxWholeNumber);
    const Napi::Promise promise = submission->promise.Promise();
    queue_->submit(std::move(submission));
    if (numPending_ == 0) {
      Ref();
      settler_.Ref(env);
    }
    numPending_ += 1;
    return promise;
  });
}

/** close() -> Promise: settled when what is under way is. Call once. */
Napi::Value QueueObject::close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  closing_ = std::make_unique<Napi::Promise::Deferred>(Napi::Promise::Deferred::New(env));
  const Napi::Promise promise = closing_->Promise();
  if (numPending_ == 0) {
    finishClosing();
    closing_->Resolve(env.Undefined());
  }
  return promise;
}

void QueueObject::settleOnJsThread(Napi::Env env, Napi::Function, QueueObject* queue,
                                   std::shared_ptr<Submission>* submission) {
  const std::unique_ptr<std::shared_ptr<Submission>> owned(submission);
  if (static_cast<napi_env>(env) == nullptr) return;  // the environment is closing
  queue->settle(env, static_cast<PromisedSubmission&>(**owned));
}

void QueueObject::settle(Napi::Env env, PromisedSubmission& submission) {
  const Napi::HandleScope scope(env);
  if (submission.error.empty()) {
    Napi::ArrayBuffer answers = Napi::ArrayBuffer::New(env, submission.answerBytes);
    if (submission.answerBytes > 0) std::memcpy(answers.Data(), submission.answers, submission.answerBytes);
    Napi::Array report = Napi::Array::New(env, 4);
    report.Set(0u, Napi::Number::New(env, submission.startSeconds));
    report.Set(1u, Napi::Number::New(env, submission.endSeconds));
    report.Set(2u, answers);
    if (queue_ && queue_->hasTimestamps()) {
      Napi::Float64Array kindSeconds = Napi::Float64Array::New(env, mostKinds);
      std::copy(submission.kindSeconds.begin(), submission.kindSeconds.end(), kindSeconds.Data());
      report.Set(3u, kindSeconds);
    } else {
      report.Set(3u, env.Null());
    }
    submission.promise.Resolve(report);
  } else {
    submission.promise.Reject(vulkanErrorOf(env, submission.error).Value());
  }
  if (queue_) queue_->giveBack(submission);
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

void defineQueue(Napi::Env env, Napi::Object exports) { exports.Set("Queue", QueueObject::define(env)); }

}  // namespace specoffload::vulkan
