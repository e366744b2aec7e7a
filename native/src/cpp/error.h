// Errors that carry what JavaScript needs to know: a full sentence, and the system's error number where there is one.
#pragma once

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace specoffload {

/** A failed system call. Becomes a JavaScript Error with `code` ("ENOENT") and `errno`. */
class SystemError : public std::runtime_error {
public:
  SystemError(const std::string& what, int number)
      : std::runtime_error(what + ": " + std::strerror(number)), number_(number) {}
  int number() const { return number_; }

private:
  int number_;
};

/** An argument outside its range. Becomes a JavaScript RangeError. */
class RangeError : public std::runtime_error {
public:
  using std::runtime_error::runtime_error;
};

}  // namespace specoffload
