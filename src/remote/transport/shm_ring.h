// A ring of bytes in memory that two processes share, of which one may be hostile: what the other side has
// written is read once, checked, and only then believed. The bytes are copied out before anybody looks at
// them.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "common/status.h"

namespace tessera::remote {

// What lies in the shared memory, before the bytes. All zeros is an empty ring. Positions count bytes ever
// written and read, and are taken modulo the size, which is a power of two.
struct RingControl {
  alignas(64) std::atomic<uint64_t> written;
  alignas(64) std::atomic<uint64_t> read;
  alignas(64) std::atomic<uint32_t> reader_sleeps;
  alignas(64) std::atomic<uint32_t> writer_sleeps;
};
static_assert(sizeof(RingControl) == 256 && std::atomic<uint64_t>::is_always_lock_free &&
              std::atomic<uint32_t>::is_always_lock_free);

// Bytes are made visible to the other side in steps of this many, so that it copies while we do.
inline constexpr size_t kRingStepBytes = size_t{64} << 10;

// The writing end; one thread, but whoever waits may ask whether it is ready.
class RingWriter {
 public:
  RingWriter(RingControl* control, std::byte* bytes, size_t size)
      : control_(control), bytes_(bytes), size_(size) {}

  // Writes as much as there is room for: how much. Whoever reads may have to be woken after `published` is
  // called, which happens once per step. kUnavailable where the reader's position cannot be.
  template <typename Published>
  Result<size_t> write(std::span<const std::byte> piece, Published published);
  // Whether there is room, or the reader's position cannot be.
  bool ready() const { return own() - control_->read.load(std::memory_order_acquire) != size_; }

 private:
  uint64_t own() const { return written_.load(std::memory_order_relaxed); }
  void copy_in(uint64_t written, std::span<const std::byte> piece);

  RingControl* const control_;
  std::byte* const bytes_;
  const size_t size_;
  std::atomic<uint64_t> written_{0};  // ours: what is in the shared memory is a copy
  uint64_t read_seen_ = 0;
};

// The reading end, likewise.
class RingReader {
 public:
  RingReader(RingControl* control, const std::byte* bytes, size_t size)
      : control_(control), bytes_(bytes), size_(size) {}

  // As RingWriter::write.
  template <typename Published>
  Result<size_t> read(std::span<std::byte> space, Published published);
  bool ready() const { return control_->written.load(std::memory_order_acquire) != own(); }
  // Whether it is worth waking a writer that waits for room: one that gets a step at a time sleeps between
  // them.
  bool much_room() const {
    return size_ - (control_->written.load(std::memory_order_relaxed) - own()) >= size_ / 4;
  }

 private:
  uint64_t own() const { return read_.load(std::memory_order_relaxed); }
  void copy_out(uint64_t read, std::span<std::byte> space);

  RingControl* const control_;
  const std::byte* const bytes_;
  const size_t size_;
  std::atomic<uint64_t> read_{0};
};

Status corrupt_ring();

template <typename Published>
Result<size_t> RingWriter::write(std::span<const std::byte> piece, Published published) {
  uint64_t written = own();
  size_t done = 0;
  while (done < piece.size()) {
    if (size_ - (written - read_seen_) < piece.size() - done) {
      const uint64_t read = control_->read.load(std::memory_order_acquire);
      // It only grows, and never beyond what was written.
      if (read - read_seen_ > written - read_seen_) return corrupt_ring();
      read_seen_ = read;
    }
    const size_t room = size_ - static_cast<size_t>(written - read_seen_);
    const size_t count = std::min({room, piece.size() - done, kRingStepBytes});
    if (count == 0) break;
    copy_in(written, piece.subspan(done, count));
    written += count;
    done += count;
    written_.store(written, std::memory_order_relaxed);
    control_->written.store(written, std::memory_order_release);
    published();
  }
  return done;
}

template <typename Published>
Result<size_t> RingReader::read(std::span<std::byte> space, Published published) {
  uint64_t read = own();
  size_t done = 0;
  while (done < space.size()) {
    const uint64_t there = control_->written.load(std::memory_order_acquire) - read;
    if (there > size_) return corrupt_ring();
    const size_t count = std::min({static_cast<size_t>(there), space.size() - done, kRingStepBytes});
    if (count == 0) break;
    copy_out(read, space.subspan(done, count));
    read += count;
    done += count;
    read_.store(read, std::memory_order_relaxed);
    control_->read.store(read, std::memory_order_release);
    published();
  }
  return done;
}

}  // namespace tessera::remote
