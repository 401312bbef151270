// Descriptors that processes send each other, with eight bytes that go along.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "../driver_check.h"

namespace walk {

struct Sent {
  int fd;
  uint64_t word;
};

// False where the socket is full.
inline bool send_descriptor(int socket, const Sent& sent) {
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof sent.fd)] = {};
  uint64_t word = sent.word;
  iovec data{&word, sizeof word};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof sent.fd);
  memcpy(CMSG_DATA(header), &sent.fd, sizeof sent.fd);
  const ssize_t bytes = sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  REQUIRE(bytes == sizeof word || errno == EAGAIN, "sendmsg: %s", strerror(errno));
  return bytes == sizeof word;
}

// Nothing where none is there, unless `wait`.
inline std::optional<Sent> receive_descriptor(int socket, bool wait) {
  Sent sent{-1, 0};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof sent.fd)] = {};
  iovec data{&sent.word, sizeof sent.word};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC | (wait ? 0 : MSG_DONTWAIT));
  if (bytes < 0 && errno == EAGAIN) return std::nullopt;
  const cmsghdr* header = bytes == sizeof sent.word ? CMSG_FIRSTHDR(&message) : nullptr;
  REQUIRE(header != nullptr && header->cmsg_type == SCM_RIGHTS, "no descriptor came");
  memcpy(&sent.fd, CMSG_DATA(header), sizeof sent.fd);
  return sent;
}

}  // namespace walk
