// A socket of ours among the descriptors of a program that knows nothing of it. Programs close what they did
// not open (daemons, shells, test runners), and then the number may belong to a file of theirs: it is looked
// at before each use.
#pragma once

#include <sys/types.h>

#include "common/fd.h"

namespace tessera::vgpu {

class OwnSocket {
 public:
  // Moves the socket to a high number where the limit of descriptors allows: programs choose low ones by
  // hand.
  explicit OwnSocket(UniqueFd socket);
  OwnSocket(OwnSocket&&) = default;
  OwnSocket& operator=(OwnSocket&& other) noexcept;
  ~OwnSocket() { close_if_ours(); }

  int get() const { return socket_.get(); }
  // Whether the number still names the socket. Async-signal-safe. Where a thread of the program closes it
  // between this question and the use, the use goes wrong: the window is a few instructions.
  bool ours() const;
  // Leaves the descriptor alone where it is the program's by now. Async-signal-safe.
  void close_if_ours();

 private:
  UniqueFd socket_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

}  // namespace tessera::vgpu
