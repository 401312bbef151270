#include "remote/transport/shm_transport.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>

#include "remote/transport/passed_files.h"
#include "remote/transport/socket_transport.h"

namespace tessera::remote {
namespace {

constexpr size_t kControlBytes = 4096;
constexpr uint32_t kOfferMagic = 0x4d485354;  // "TSHM"
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

struct Offer {
  uint32_t magic = kOfferMagic;
  uint32_t ring_bytes = 0;
};

bool valid_ring(size_t bytes) {
  return std::has_single_bit(bytes) && bytes >= ShmTransport::kLeastRingBytes &&
         bytes <= ShmTransport::kMostRingBytes;
}

constexpr size_t kAreaControlsAt = 1024;
static_assert(2 * sizeof(RingControl) <= kAreaControlsAt &&
              kAreaControlsAt + 2 * sizeof(AreaControl) <= kControlBytes);

size_t memory_bytes(size_t ring_bytes) { return ShmTransport::memory_bytes(ring_bytes); }

// The number of a direction: 0 to the server, 1 to the client.
SharedArea area(std::byte* base, size_t ring_bytes, int direction) {
  return {reinterpret_cast<AreaControl*>(base + kAreaControlsAt) + direction,
          base + kControlBytes + 2 * ring_bytes + static_cast<size_t>(direction) * kAreaBytes};
}

Status bad_offer(const char* what) {
  return Status::error(Code::kInvalidData, "the client's shared memory is refused: %s", what);
}

Result<UniqueFd> make_memory(size_t ring_bytes) {
  UniqueFd memory(memfd_create("tessera-remote", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!memory) return Status::from_errno(errno, "cannot make shared memory");
  if (ftruncate(memory.get(), static_cast<off_t>(memory_bytes(ring_bytes))) != 0 ||
      fcntl(memory.get(), F_ADD_SEALS, kSeals) != 0)
    return Status::from_errno(errno, "cannot make %zu bytes of shared memory", memory_bytes(ring_bytes));
  return memory;
}

// Memory that could shrink under us would end us by SIGBUS.
Status check_memory(int memory, size_t ring_bytes) {
  const int seals = fcntl(memory, F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) return bad_offer("it is no sealed memfd");
  if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0) return bad_offer("it is sealed against writing");
  struct stat info {};
  if (fstat(memory, &info) != 0 || static_cast<size_t>(info.st_size) != memory_bytes(ring_bytes))
    return bad_offer("its size is not what was said");
  return Status();
}

// A byte that is written to it can go to nobody but the client.
Status check_socket(int socket) {
  int domain = 0, type = 0;
  socklen_t size = sizeof domain;
  if (getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0 || domain != AF_UNIX)
    return bad_offer("the second descriptor is no Unix socket");
  size = sizeof type;
  if (getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM)
    return bad_offer("the second descriptor is no stream socket");
  return Status();
}

// Whether the other end still has it open; what woke us is taken out.
bool drain(int socket) {
  char bytes[64];
  for (;;) {
    const ssize_t count = recv(socket, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count == 0) return false;
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
    if (static_cast<size_t>(count) < sizeof bytes) return true;
  }
}

}  // namespace

size_t ShmTransport::memory_bytes(size_t ring_bytes) {
  return kControlBytes + 2 * ring_bytes + 2 * kAreaBytes;
}

ShmTransport::ShmTransport(UniqueFd socket, UniqueFd room_socket, const Mapping& mapping, Side side)
    : socket_(std::move(socket)),
      room_socket_(std::move(room_socket)),
      mapping_(mapping),
      out_(reinterpret_cast<RingControl*>(mapping.base) + (side == Side::kClient ? 0 : 1)),
      in_(reinterpret_cast<RingControl*>(mapping.base) + (side == Side::kClient ? 1 : 0)),
      writer_(out_, mapping.base + kControlBytes + (side == Side::kClient ? 0 : mapping.ring_bytes),
              mapping.ring_bytes),
      reader_(in_, mapping.base + kControlBytes + (side == Side::kClient ? mapping.ring_bytes : 0),
              mapping.ring_bytes),
      area_out_(area(mapping.base, mapping.ring_bytes, side == Side::kClient ? 0 : 1)),
      area_in_(area(mapping.base, mapping.ring_bytes, side == Side::kClient ? 1 : 0)) {}

ShmTransport::~ShmTransport() { munmap(mapping_.base, memory_bytes(mapping_.ring_bytes)); }

Result<ShmTransport::Mapping> ShmTransport::map(int memory, size_t ring_bytes) {
  void* const base = mmap(nullptr, memory_bytes(ring_bytes), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (base == MAP_FAILED) return Status::from_errno(errno, "cannot map shared memory");
  // A forked child has no business with its parent's connection.
  (void)madvise(base, memory_bytes(ring_bytes), MADV_DONTFORK);
  return Mapping{static_cast<std::byte*>(base), ring_bytes};
}

Result<std::unique_ptr<ShmTransport>> ShmTransport::offer(UniqueFd socket, size_t ring_bytes) {
  if (!valid_ring(ring_bytes))
    return Status(Code::kInvalidArgument, "a ring's size is a power of two, 64 KiB to 64 MiB");
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return Status::from_errno(errno, "cannot make a pair of sockets");
  UniqueFd ours(ends[0]), theirs(ends[1]);
  TESSERA_ASSIGN_OR_RETURN(UniqueFd memory, make_memory(ring_bytes));
  TESSERA_ASSIGN_OR_RETURN(const Mapping mapping, map(memory.get(), ring_bytes));
  std::unique_ptr<ShmTransport> transport(
      new ShmTransport(std::move(socket), std::move(ours), mapping, Side::kClient));
  const Offer offer{kOfferMagic, static_cast<uint32_t>(ring_bytes)};
  const int files[] = {memory.get(), theirs.get()};
  TESSERA_RETURN_IF_ERROR(pass_files(transport->socket_.get(), std::as_bytes(std::span(&offer, 1)), files));
  return transport;
}

Result<std::unique_ptr<ShmTransport>> ShmTransport::accept(UniqueFd socket, std::chrono::nanoseconds limit) {
  TESSERA_ASSIGN_OR_RETURN(const unsigned ready, poll_socket(socket.get(), kReadable, limit));
  if (ready == 0)
    return Status(Code::kDeadlineExceeded, "the client has not passed its shared memory in time");
  Offer offer;
  std::array<UniqueFd, 2> files;
  TESSERA_ASSIGN_OR_RETURN(const size_t count,
                           take_files(socket.get(), std::as_writable_bytes(std::span(&offer, 1)), files));
  if (count != sizeof offer || offer.magic != kOfferMagic || !files[0] || !files[1])
    return bad_offer("something else was passed");
  if (!valid_ring(offer.ring_bytes)) return bad_offer("its size is out of bounds");
  TESSERA_RETURN_IF_ERROR(check_memory(files[0].get(), offer.ring_bytes));
  TESSERA_RETURN_IF_ERROR(check_socket(files[1].get()));
  TESSERA_ASSIGN_OR_RETURN(const Mapping mapping, map(files[0].get(), offer.ring_bytes));
  return std::unique_ptr<ShmTransport>(
      new ShmTransport(std::move(socket), std::move(files[1]), mapping, Side::kServer));
}

// The fence makes sure of this: either we see that the other side sleeps, or it sees before it does what we
// have published. (`sleep` has the other half.)
void ShmTransport::wake(std::atomic<uint32_t>& sleeps, int socket) {
  std::atomic_thread_fence(std::memory_order_seq_cst);
  if (sleeps.load(std::memory_order_relaxed) == 0) return;
  if (sleeps.exchange(0, std::memory_order_relaxed) == 0) return;
  const char byte = 0;
  // Where there is no room for it, others are waiting to be read.
  if (::send(socket, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && (errno == EPIPE || errno == ECONNRESET))
    broken_ = true;
}

Result<size_t> ShmTransport::send(std::span<const iovec> pieces) {
  if (ended_ || broken_) return ended_connection();
  size_t taken = 0;
  for (const iovec& piece : pieces) {
    const std::span bytes(static_cast<const std::byte*>(piece.iov_base), piece.iov_len);
    // Small pieces are told of together, below.
    const bool large = bytes.size() >= kRingStepBytes;
    TESSERA_ASSIGN_OR_RETURN(const size_t count, writer_.write(bytes, [&] {
      if (large) wake(out_->reader_sleeps, socket_.get());
    }));
    taken += count;
    if (count < bytes.size()) break;
  }
  if (taken > 0) wake(out_->reader_sleeps, socket_.get());
  return taken;
}

Result<size_t> ShmTransport::receive(std::span<std::byte> space) {
  if (ended_) return ended_connection();
  const bool gone = broken_;  // before we look: what was written before it went is there by then
  TESSERA_ASSIGN_OR_RETURN(const size_t count, reader_.read(space, [&] {
    if (reader_.much_room()) wake(in_->writer_sleeps, room_socket_.get());
  }));
  if (count == 0 && gone && !space.empty()) return ended_connection();
  return count;
}

unsigned ShmTransport::ready(unsigned wanted) const {
  if (ended_ || broken_) return wanted;
  unsigned now = 0;
  if ((wanted & kReadable) != 0 && reader_.ready()) now |= kReadable;
  if ((wanted & kWritable) != 0 && writer_.ready()) now |= kWritable;
  return now;
}

Result<unsigned> ShmTransport::wait(unsigned wanted, std::chrono::nanoseconds limit) {
  if (const unsigned now = ready(wanted); now != 0) return now;
  const uint64_t limit_ns = limit.count() > 0 ? static_cast<uint64_t>(limit.count()) : 0;
  Spinner& spinner = (wanted & kReadable) != 0 ? receive_spinner_ : send_spinner_;
  unsigned now = 0;
  if (spinner.spin(limit_ns, [&] { return (now = ready(wanted)) != 0; })) return now;
  return sleep(wanted, limit);
}

Result<unsigned> ShmTransport::sleep(unsigned wanted, std::chrono::nanoseconds limit) {
  const uint64_t limit_ns = limit.count() > 0 ? static_cast<uint64_t>(limit.count()) : 0;
  const uint64_t end_ns = limit_ns == 0 ? 0 : monotonic_ns() + std::min<uint64_t>(limit_ns, INT64_MAX / 2);
  const bool receives = (wanted & kReadable) != 0, sends = (wanted & kWritable) != 0;
  for (uint64_t left_ns = limit_ns;;) {
    if (receives) in_->reader_sleeps.store(1, std::memory_order_relaxed);
    if (sends) out_->writer_sleeps.store(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    unsigned now = ready(wanted);
    pollfd entries[] = {{socket_.get(), static_cast<short>(receives ? POLLIN | POLLRDHUP : POLLRDHUP), 0},
                        {sends ? room_socket_.get() : -1, POLLIN, 0}};
    const timespec time{static_cast<time_t>(now != 0 ? 0 : left_ns / 1'000'000'000),
                        static_cast<long>(now != 0 ? 0 : left_ns % 1'000'000'000)};
    const int count = ppoll(entries, 2, &time, nullptr);
    const int error = errno;
    if (receives) in_->reader_sleeps.store(0, std::memory_order_relaxed);
    if (sends) out_->writer_sleeps.store(0, std::memory_order_relaxed);
    if (count < 0 && error != EINTR) return Status::from_errno(error, "cannot wait for a connection");
    if (count > 0) {
      if ((entries[0].revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0) broken_ = true;
      if ((entries[0].revents & POLLIN) != 0 && receives && !drain(socket_.get())) broken_ = true;
      if (entries[1].revents != 0 && !drain(room_socket_.get())) broken_ = true;
    }
    now = ready(wanted);
    if (now != 0 || limit_ns == 0) return now;
    const uint64_t at_ns = monotonic_ns();
    if (at_ns >= end_ns) return 0u;
    left_ns = end_ns - at_ns;
  }
}

void ShmTransport::shutdown() {
  ended_ = true;
  (void)::shutdown(socket_.get(), SHUT_RDWR);
  (void)::shutdown(room_socket_.get(), SHUT_RDWR);
}

}  // namespace tessera::remote
