#include "virtualization/lease/own_socket.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace tessera::vgpu {
namespace {

constexpr int kOutOfTheWay = 800;  // below 1024, the usual limit

}  // namespace

OwnSocket::OwnSocket(UniqueFd socket) : socket_(std::move(socket)) {
  int moved = fcntl(socket_.get(), F_DUPFD_CLOEXEC, kOutOfTheWay);
  if (moved >= 0) socket_.reset(moved);
  struct stat status {};
  if (fstat(socket_.get(), &status) != 0) return;  // then it is nobody's
  device_ = status.st_dev;
  inode_ = status.st_ino;
}

OwnSocket& OwnSocket::operator=(OwnSocket&& other) noexcept {
  close_if_ours();
  socket_ = std::move(other.socket_);
  device_ = other.device_;
  inode_ = other.inode_;
  return *this;
}

bool OwnSocket::ours() const {
  struct stat status {};
  return socket_ && fstat(socket_.get(), &status) == 0 && S_ISSOCK(status.st_mode) &&
         status.st_dev == device_ && status.st_ino == inode_;
}

void OwnSocket::close_if_ours() {
  if (ours()) {
    socket_.reset();
  } else {
    (void)socket_.release();
  }
}

}  // namespace tessera::vgpu
