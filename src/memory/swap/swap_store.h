// Keeps the contents of granules that are not on their device: in the host's memory, and in a file for what
// that is not to take; as they are, or encoded and encrypted.
//
// Nothing is lost on the way: put() either keeps all of a granule or has changed nothing. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "memory/codec/adaptive_codec.h"
#include "memory/swap/file_store.h"
#include "memory/swap/host_store.h"
#include "memory/swap/swap_options.h"

namespace tessera::memory {

class SwapStore {
 public:
  // What is kept in the host's memory is charged to it. kResourceExhausted: no more of that.
  class Budget {
   public:
    virtual ~Budget() = default;
    virtual Status charge(uint64_t bytes) = 0;
    virtual void credit(uint64_t bytes) = 0;
  };
  struct Kept {
    enum class Where : uint8_t { kNowhere, kHost, kFile };  // kNowhere: nothing but zeros
    Where where = Where::kNowhere;
    uint32_t slot = 0;
    uint32_t stored_bytes = 0;
  };
  struct Sizes {
    uint64_t granule_bytes = 0;  // of all that is kept
    uint64_t host_bytes = 0, file_bytes = 0;
  };

  // `budget` outlives the store. `small_pages`: the device's memory is the host's: what leaves it leaves
  // small pages there, and huge ones for its copy would have to be found beside them.
  static Result<std::unique_ptr<SwapStore>> create(uint64_t granule_bytes, const SwapOptions& options,
                                                   Budget& budget,
                                                   HostStore::Look look = &HostStore::look_at_host,
                                                   bool small_pages = false);
  ~SwapStore();

  // Copies of granules between their device and the host's memory, several on their way at a time.
  class Transfer {
   public:
    virtual ~Transfer() = default;
    // Of the granule of this number, to or from `host`, which is not to be touched meanwhile.
    virtual Status begin(size_t number, uint8_t* host) = 0;
    // Until all that began are done.
    virtual Status wait() = 0;
  };
  // Keeps granules, each as it comes from the device: `kept` has room for so many. How many are, from the
  // first one on; where that is not all, `status` says why.
  size_t put(std::span<Kept> kept, Transfer& from_device, Status& status);
  // Copies them to the device, all or none. They stay kept.
  Status get(std::span<const Kept> kept, Transfer& to_device);
  void give_back(const Kept& kept);
  // What a granule may take in the host's memory.
  uint64_t most_bytes() const { return is_raw() ? granule_bytes_ : room_bytes_; }
  const Sizes& sizes() const { return sizes_; }

 private:
  SwapStore(uint64_t granule_bytes, const SwapOptions& options, Budget& budget,
            std::unique_ptr<PageCipher> cipher, std::unique_ptr<FileStore> file, HostStore::Look look,
            bool small_pages);
  // As it is, to be copied back from where it lies.
  bool is_raw() const { return options_.encoding == SwapEncoding::kNone && !options_.encrypt; }
  uint8_t* host_at(uint32_t slot) const { return reinterpret_cast<uint8_t*>(host_.at(slot)); }

  // As they are: what begins, as far as the host's memory goes; then all that did.
  size_t put_raw(std::span<Kept> kept, Transfer& transfer, Status& status);
  Status begin_raw(size_t number, Transfer& transfer, Kept& kept);
  void undo_raw(const Kept& kept);
  Result<Kept> put_one(size_t number, Transfer& transfer);
  Status fetch(size_t number, Transfer& transfer, uint8_t* to);
  void count(const Kept& kept);
  Result<size_t> encode(std::span<uint8_t> at, bool& moved);
  Result<Kept> keep_in_host(uint32_t slot, const uint8_t* stored, size_t bytes);
  Result<Kept> keep_in_file(std::span<uint8_t> room, size_t bytes);
  // Where the granule lies, decoded: until the next call.
  Result<std::span<const uint8_t>> opened(const Kept& kept);

  // Page-aligned memory of one room, for granules on their way.
  class Scratch;

  const uint64_t granule_bytes_;
  const SwapOptions options_;
  Budget& budget_;
  const std::unique_ptr<PageCipher> cipher_;
  const std::unique_ptr<FileStore> file_;  // null: none
  const uint64_t room_bytes_;              // of an encoded granule
  AdaptiveCodec codec_;
  HostStore host_;
  std::unique_ptr<Scratch> fetched_, encoded_;
  bool was_compressed_ = false;  // the granule before
  Sizes sizes_;
};

}  // namespace tessera::memory
