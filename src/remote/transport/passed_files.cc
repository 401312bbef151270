#include "remote/transport/passed_files.h"

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace tessera::remote {
namespace {

struct Control {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(kMostPassedFiles * sizeof(int))> bytes{};
};

// False where there were more than fit.
bool keep_files(msghdr& message, std::span<UniqueFd> files) {
  size_t kept = 0;
  bool fit = (message.msg_flags & MSG_CTRUNC) == 0;
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int number;
      std::memcpy(&number, CMSG_DATA(part) + i * sizeof number, sizeof number);
      UniqueFd file(number);
      if (kept < files.size()) {
        files[kept++] = std::move(file);
      } else {
        fit = false;
      }
    }
  }
  return fit;
}

}  // namespace

Status pass_files(int socket, std::span<const std::byte> bytes, std::span<const int> files) {
  if (files.size() > kMostPassedFiles) return {Code::kInvalidArgument, "too many files for one message"};
  Control control;
  iovec piece{const_cast<std::byte*>(bytes.data()), bytes.size()};  // sendmsg(2) does not change it
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (!files.empty()) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(files.size_bytes());
    cmsghdr* const part = CMSG_FIRSTHDR(&message);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(files.size_bytes());
    std::memcpy(CMSG_DATA(part), files.data(), files.size_bytes());
  }
  ssize_t count;
  do {
    count = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (count < 0 && errno == EINTR);
  if (count == static_cast<ssize_t>(bytes.size())) return Status();
  if (count >= 0) return {Code::kUnavailable, "the other side does not read what it is sent"};
  return {Code::kUnavailable, Status::from_errno(errno, "cannot pass a file").message()};
}

Result<size_t> take_files(int socket, std::span<std::byte> space, std::span<UniqueFd> files) {
  Control control;
  iovec piece{space.data(), space.size()};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  ssize_t count;
  do {
    count = recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (count < 0 && errno == EINTR);
  if (count < 0)
    return Status{Code::kUnavailable, Status::from_errno(errno, "cannot take what is passed").message()};
  if (!keep_files(message, files))
    return Status{Code::kInvalidData, "more files were passed than belong there"};
  return static_cast<size_t>(count);
}

}  // namespace tessera::remote
