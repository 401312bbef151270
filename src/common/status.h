// One error type for the whole project: a code and a message. Errors are values; nothing here throws.
#pragma once

#include <cassert>
#include <optional>
#include <string>
#include <utility>

namespace tessera {

enum class Code {
  kOk = 0,
  kInvalidArgument,     // the caller's input is wrong; the message says how to mend it
  kInvalidData,         // bytes from a file or a peer do not parse
  kNotFound,            //
  kAlreadyExists,       //
  kPermissionDenied,    //
  kResourceExhausted,   // a limit, a quota or the device itself is full
  kFailedPrecondition,  // right call, wrong state
  kUnsupported,         // named in the message: this build or device cannot do it
  kUnavailable,         // the peer is gone or not there yet; trying again may help
  kDeadlineExceeded,    //
  kInternal,            // a defect of ours
};

// Stable lower-case name of a code, e.g. "resource_exhausted".
const char* code_name(Code code);

class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(Code code, std::string message) : code_(code), message_(std::move(message)) {
    assert(code != Code::kOk);
  }

  // printf-style: Status::error(Code::kNotFound, "no GPU %d: this node has %d", n, count)
  static Status error(Code code, const char* format, ...) __attribute__((format(printf, 2, 3)));
  // Appends strerror(error_number): "cannot open /x: No such file or directory".
  static Status from_errno(int error_number, const char* format, ...) __attribute__((format(printf, 2, 3)));

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }
  // The same code with "prefix: " before the message; an ok status stays as it is.
  Status with_context(const std::string& prefix) const;

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A value, or why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}                                  // NOLINT(*-explicit-*)
  Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }  // NOLINT(*-explicit-*)

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }
  T& value() & {
    assert(ok());
    return *value_;
  }
  const T& value() const& {
    assert(ok());
    return *value_;
  }
  T&& value() && {
    assert(ok());
    return std::move(*value_);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace tessera

#define TESSERA_CONCAT_INNER(a, b) a##b
#define TESSERA_CONCAT(a, b) TESSERA_CONCAT_INNER(a, b)

#define TESSERA_RETURN_IF_ERROR(expression)   \
  do {                                        \
    ::tessera::Status status_ = (expression); \
    if (!status_.ok()) return status_;        \
  } while (false)

// TESSERA_ASSIGN_OR_RETURN(auto file, open_file(path));
#define TESSERA_ASSIGN_OR_RETURN(target, expression) \
  TESSERA_ASSIGN_OR_RETURN_INNER(TESSERA_CONCAT(result_, __LINE__), target, expression)
// `result` and `target` are declarations: parentheses would not compile.
// NOLINTBEGIN(bugprone-macro-parentheses)
#define TESSERA_ASSIGN_OR_RETURN_INNER(result, target, expression) \
  auto result = (expression);                                      \
  if (!result.ok()) return result.status();                        \
  target = std::move(result).value()
// NOLINTEND(bugprone-macro-parentheses)
