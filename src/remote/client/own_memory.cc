#include "remote/client/own_memory.h"

#include <sys/uio.h>
#include <unistd.h>

namespace tessera::remote {

bool read_own(uint64_t address, std::span<std::byte> to) {
  const iovec here{to.data(), to.size()}, there{reinterpret_cast<void*>(address), to.size()};
  return process_vm_readv(getpid(), &here, 1, &there, 1, 0) == static_cast<ssize_t>(to.size());
}

bool write_own(uint64_t address, ByteSpan from) {
  const iovec here{const_cast<std::byte*>(from.data()), from.size()};
  const iovec there{reinterpret_cast<void*>(address), from.size()};
  return process_vm_writev(getpid(), &here, 1, &there, 1, 0) == static_cast<ssize_t>(from.size());
}

}  // namespace tessera::remote
