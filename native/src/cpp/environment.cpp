#include "environment.h"

#include <cmath>

#include "error.h"

namespace specoffload {

namespace {

/** The name of an error number ("ENOENT"), or null. */
const char* codeOf(int number) {
  switch (number) {
    case EACCES: return "EACCES";
    case EAGAIN: return "EAGAIN";
    case EBADF: return "EBADF";
    case EINVAL: return "EINVAL";
    case EIO: return "EIO";
    case EISDIR: return "EISDIR";
    case ELOOP: return "ELOOP";
    case EMFILE: return "EMFILE";
    case ENAMETOOLONG: return "ENAMETOOLONG";
    case ENFILE: return "ENFILE";
    case ENOENT: return "ENOENT";
    case ENOMEM: return "ENOMEM";
    case ENOTDIR: return "ENOTDIR";
    case ENXIO: return "ENXIO";
    case EPERM: return "EPERM";
    case ESPIPE: return "ESPIPE";
    case ESRCH: return "ESRCH";
    default: return nullptr;
  }
}

}  // namespace

Napi::Error systemErrorOf(Napi::Env env, const std::string& message, int number) {
  Napi::Error error = Napi::Error::New(env, message);
  const char* code = codeOf(number);
  error.Set("code", code != nullptr ? std::string(code) : "E" + std::to_string(number));
  error.Set("errno", Napi::Number::New(env, -number));  // negative, as in Node's own system errors
  return error;
}

size_t wholeNumber(const Napi::Value& value, const char* name, size_t least, size_t most) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : std::nan("");
  if (!(number >= static_cast<double>(least) && number <= static_cast<double>(most) && std::floor(number) == number)) {
    throw RangeError(std::string("invalid ") + name + ": " + value.ToString().Utf8Value() +
                     "; expected a whole number from " + std::to_string(least) + " to " + std::to_string(most));
  }
  return static_cast<size_t>(number);
}

uint8_t* bytesOf(const Arena& arena, size_t offset, size_t length, const char* name) {
  if (!(offset <= arena.byteLength() && length <= arena.byteLength() - offset)) {
    throw RangeError(std::string("invalid ") + name + ": " + std::to_string(offset) + "; expected " +
                     std::to_string(length) + " bytes from there to fit an arena of " +
                     std::to_string(arena.byteLength()));
  }
  return arena.data() + offset;
}

}  // namespace specoffload
