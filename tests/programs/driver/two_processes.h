// Two processes that work together: what they send each other, in turns, over a socket.
#pragma once

#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "child.h"

namespace check {

// One end. Whoever waits for the other notices its end.
class Peer {
 public:
  explicit Peer(int socket) : socket_(socket) {}
  ~Peer() { close(socket_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  template <typename T>
  void send(const T& value) const {
    REQUIRE(::send(socket_, &value, sizeof value, MSG_NOSIGNAL) == sizeof value, "the other process is gone");
  }
  template <typename T>
  T receive() const {
    T value;
    REQUIRE(recv(socket_, &value, sizeof value, MSG_WAITALL) == sizeof value,
            "the other process did not answer");
    return value;
  }
  void turn() const { send('t'); }
  void await_turn() const { REQUIRE(receive<char>() == 't', "the other process is at another turn"); }
  // For the end of the other process.
  void await_end() const {
    char byte = 0;
    REQUIRE(recv(socket_, &byte, 1, 0) <= 0, "the other process did not end");
  }

  void send_descriptor(int fd) const {
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
    char byte = 'd';
    iovec data{&byte, 1};
    msghdr message = about(data, control, sizeof control);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(header), &fd, sizeof fd);
    REQUIRE(sendmsg(socket_, &message, MSG_NOSIGNAL) == 1, "sendmsg failed");
  }
  int receive_descriptor() const {
    int fd = -1;
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
    char byte = 0;
    iovec data{&byte, 1};
    msghdr message = about(data, control, sizeof control);
    REQUIRE(recvmsg(socket_, &message, MSG_CMSG_CLOEXEC) == 1 && byte == 'd', "recvmsg failed");
    const cmsghdr* header = CMSG_FIRSTHDR(&message);
    REQUIRE(header != nullptr && header->cmsg_type == SCM_RIGHTS, "no descriptor came");
    memcpy(&fd, CMSG_DATA(header), sizeof fd);
    return fd;
  }

 private:
  static msghdr about(iovec& data, char* control, size_t size) {
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = size;
    return message;
  }

  const int socket_;
};

enum class End { kWell, kKilled };

// Runs both bodies, each in a process of its own. The first ends as said; the second has to end well.
template <typename First, typename Second>
void in_two_processes(const char* what, First&& first, Second&& second, End end_of_first = End::kWell) {
  int ends[2];
  REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair failed");
  const pid_t child = fork();
  REQUIRE(child >= 0, "fork failed");
  if (child == 0) {
    close(ends[1]);
    {
      const Peer peer(ends[0]);
      first(peer);
    }
    std::exit(0);
  }
  close(ends[0]);
  in_child(what, [&] {
    const Peer peer(ends[1]);
    second(peer);
  });
  close(ends[1]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child, "waitpid failed");
  const bool as_said =
      end_of_first == End::kKilled ? WIFSIGNALED(status) : WIFEXITED(status) && WEXITSTATUS(status) == 0;
  REQUIRE(as_said, "%s: the first process's status is %d", what, status);
}

}  // namespace check
