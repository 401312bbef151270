#include "common/status.h"

#include <cstdarg>
#include <cstring>

#include "common/strings.h"

namespace tessera {

const char* code_name(Code code) {
  switch (code) {
    case Code::kOk:
      return "ok";
    case Code::kInvalidArgument:
      return "invalid_argument";
    case Code::kInvalidData:
      return "invalid_data";
    case Code::kNotFound:
      return "not_found";
    case Code::kAlreadyExists:
      return "already_exists";
    case Code::kPermissionDenied:
      return "permission_denied";
    case Code::kResourceExhausted:
      return "resource_exhausted";
    case Code::kFailedPrecondition:
      return "failed_precondition";
    case Code::kUnsupported:
      return "unsupported";
    case Code::kUnavailable:
      return "unavailable";
    case Code::kDeadlineExceeded:
      return "deadline_exceeded";
    case Code::kInternal:
      return "internal";
  }
  return "unknown";
}

Status Status::error(Code code, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string message = str_format_list(format, arguments);
  va_end(arguments);
  return Status(code, std::move(message));
}

namespace {
Code code_of_errno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ESRCH:
      return Code::kNotFound;
    case EEXIST:
      return Code::kAlreadyExists;
    case EACCES:
    case EPERM:
      return Code::kPermissionDenied;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
      return Code::kResourceExhausted;
    case EINVAL:
    case ENAMETOOLONG:
      return Code::kInvalidArgument;
    case ETIMEDOUT:
      return Code::kDeadlineExceeded;
    default:
      return Code::kUnavailable;
  }
}
}  // namespace

Status Status::from_errno(int error_number, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string message = str_format_list(format, arguments);
  va_end(arguments);
  char buffer[128];
  message += ": ";
  message += strerror_r(error_number, buffer, sizeof buffer);
  return Status(code_of_errno(error_number), std::move(message));
}

Status Status::with_context(const std::string& prefix) const {
  return ok() ? *this : Status(code_, prefix + ": " + message_);
}

}  // namespace tessera
