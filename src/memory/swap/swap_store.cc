#include "memory/swap/swap_store.h"

#include <sys/mman.h>

#include <cassert>
#include <cerrno>
#include <cstring>

#include "common/clock.h"

namespace tessera::memory {
namespace {

// Bytes a second to where most of it goes: they decide how much time compression may take.
constexpr double kHostBandwidth = 5e9, kFileBandwidth = 5e8;

constexpr uint64_t round_up(uint64_t bytes) {
  return (bytes + FileStore::kBlockBytes - 1) / FileStore::kBlockBytes * FileStore::kBlockBytes;
}

Protection protection_of(const SwapOptions& options) {
  if (options.encrypt) return Protection::kSealed;
  return options.directory.empty() ? Protection::kHeader : Protection::kChecksum;
}

PageEncoding fixed_encoding(SwapEncoding encoding) {
  switch (encoding) {
    case SwapEncoding::kLz4:
      return {Compression::kLz4, 1};
    case SwapEncoding::kZstd:
      return {Compression::kZstd, 1};
    default:
      assert(encoding == SwapEncoding::kSnappy);
      return {Compression::kSnappy, 1};
  }
}

}  // namespace

class SwapStore::Scratch {
 public:
  static Result<std::unique_ptr<Scratch>> create(uint64_t bytes) {
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return Status::from_errno(errno, "no memory for what is moved off a device");
    madvise(memory, bytes, MADV_DONTFORK);
    madvise(memory, bytes, MADV_DONTDUMP);
    return std::unique_ptr<Scratch>(new Scratch({static_cast<uint8_t*>(memory), bytes}));
  }
  ~Scratch() { munmap(room_.data(), room_.size()); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::span<uint8_t> room() const { return room_; }

 private:
  explicit Scratch(std::span<uint8_t> room) : room_(room) {}

  const std::span<uint8_t> room_;
};

Result<std::unique_ptr<SwapStore>> SwapStore::create(uint64_t granule_bytes, const SwapOptions& options,
                                                     Budget& budget, HostStore::Look look, bool small_pages) {
  std::unique_ptr<PageCipher> cipher;
  std::unique_ptr<FileStore> file;
  const uint64_t room = round_up(PageCodec::bound(granule_bytes));
  if (options.encrypt) {
    TESSERA_ASSIGN_OR_RETURN(cipher, PageCipher::create());
  }
  if (!options.directory.empty()) {
    TESSERA_ASSIGN_OR_RETURN(file, FileStore::create(options.directory, room));
  }
  std::unique_ptr<SwapStore> store(
      new SwapStore(granule_bytes, options, budget, std::move(cipher), std::move(file), look, small_pages));
  TESSERA_ASSIGN_OR_RETURN(store->fetched_, Scratch::create(room));
  TESSERA_ASSIGN_OR_RETURN(store->encoded_, Scratch::create(room));
  return store;
}

SwapStore::SwapStore(uint64_t granule_bytes, const SwapOptions& options, Budget& budget,
                     std::unique_ptr<PageCipher> cipher, std::unique_ptr<FileStore> file,
                     HostStore::Look look, bool small_pages)
    : granule_bytes_(granule_bytes),
      options_(options),
      budget_(budget),
      cipher_(std::move(cipher)),
      file_(std::move(file)),
      room_bytes_(round_up(PageCodec::bound(granule_bytes))),
      codec_(file_ != nullptr ? kFileBandwidth : kHostBandwidth, &monotonic_ns, protection_of(options),
             cipher_.get()),
      host_(is_raw() ? granule_bytes : room_bytes_, options.numa_node,
            is_raw() && !small_pages ? HostStore::Filling::kWhole : HostStore::Filling::kPartly, look) {}

SwapStore::~SwapStore() = default;

size_t SwapStore::put(std::span<Kept> kept, Transfer& from_device, Status& status) {
  status = Status();
  size_t done = is_raw() ? put_raw(kept, from_device, status) : 0;
  const bool others_can = !is_raw() || (status.code() == Code::kResourceExhausted && file_ != nullptr);
  for (; others_can && done < kept.size(); ++done) {
    const Result<Kept> one = put_one(done, from_device);
    status = one.status();
    if (!one.ok()) break;
    kept[done] = *one;
    count(*one);
  }
  return done;
}

void SwapStore::count(const Kept& kept) {
  sizes_.granule_bytes += granule_bytes_;
  if (kept.where == Kept::Where::kHost) sizes_.host_bytes += round_up(kept.stored_bytes);
  if (kept.where == Kept::Where::kFile) sizes_.file_bytes += round_up(kept.stored_bytes);
}

Status SwapStore::begin_raw(size_t number, Transfer& transfer, Kept& kept) {
  TESSERA_RETURN_IF_ERROR(budget_.charge(granule_bytes_));
  const Result<uint32_t> slot = host_.take();
  if (!slot.ok()) {
    budget_.credit(granule_bytes_);
    return slot.status();
  }
  kept = {Kept::Where::kHost, *slot, static_cast<uint32_t>(granule_bytes_)};
  const Status begun = transfer.begin(number, host_at(*slot));
  if (!begun.ok()) undo_raw(kept);
  return begun;
}

void SwapStore::undo_raw(const Kept& kept) {
  host_.give_back(kept.slot);
  budget_.credit(granule_bytes_);
}

size_t SwapStore::put_raw(std::span<Kept> kept, Transfer& transfer, Status& status) {
  size_t begun = 0;
  while (begun < kept.size() && status.ok()) {
    status = begin_raw(begun, transfer, kept[begun]);
    if (status.ok()) ++begun;
  }
  const Status copied = transfer.wait();
  for (size_t i = 0; i < begun; ++i) {
    if (!copied.ok()) {
      undo_raw(kept[i]);
      continue;
    }
    if (all_zeros({host_at(kept[i].slot), granule_bytes_})) {
      undo_raw(kept[i]);
      kept[i] = Kept{};
    }
    count(kept[i]);
  }
  if (copied.ok()) return begun;
  status = copied;
  return 0;
}

Status SwapStore::fetch(size_t number, Transfer& transfer, uint8_t* to) {
  const Status begun = transfer.begin(number, to), copied = transfer.wait();
  return begun.ok() ? copied : begun;
}

// What was not compressed a moment ago is not likely to be now: it is fetched to where it is to stay.
Result<SwapStore::Kept> SwapStore::put_one(size_t number, Transfer& transfer) {
  // Only what is encoded can lie in a slot; the rest is for the file.
  const Result<uint32_t> slot =
      is_raw() ? Result<uint32_t>(Status(Code::kResourceExhausted, "")) : host_.take();
  std::span<uint8_t> at = fetched_->room();
  if (slot.ok() && !was_compressed_) at = {host_at(*slot), room_bytes_};
  uint8_t* const page = at.data() + codec_.plain().payload_at();
  bool moved = false;
  const auto stored = [&]() -> Result<size_t> {
    TESSERA_RETURN_IF_ERROR(fetch(number, transfer, page));
    return all_zeros({page, granule_bytes_}) ? Result<size_t>(size_t{0}) : encode(at, moved);
  }();
  if (!stored.ok() || *stored == 0) {
    if (slot.ok()) host_.give_back(*slot);
    TESSERA_RETURN_IF_ERROR(stored.status());
    return Kept{};
  }
  was_compressed_ = moved;
  const std::span<uint8_t> result = moved ? encoded_->room() : at;
  // To the end of a block there is something of other granules, as they were.
  memset(result.data() + *stored, 0, round_up(*stored) - *stored);
  Result<Kept> kept = slot.ok() ? keep_in_host(*slot, result.data(), *stored) : slot.status();
  if (kept.ok()) return kept;
  if (file_ != nullptr) kept = keep_in_file(result, *stored);
  if (slot.ok()) host_.give_back(*slot);
  return kept;
}

Result<size_t> SwapStore::encode(std::span<uint8_t> at, bool& moved) {
  if (options_.encoding == SwapEncoding::kAdaptive)
    return codec_.encode_in_place(granule_bytes_, at, encoded_->room(), moved);
  if (options_.encoding == SwapEncoding::kNone) return codec_.plain().encode_in_place(granule_bytes_, at);
  moved = true;
  return codec_.plain().encode(fixed_encoding(options_.encoding),
                               at.subspan(codec_.plain().payload_at(), granule_bytes_), encoded_->room());
}

Result<SwapStore::Kept> SwapStore::keep_in_host(uint32_t slot, const uint8_t* stored, size_t bytes) {
  TESSERA_RETURN_IF_ERROR(budget_.charge(round_up(bytes)));
  if (stored != host_at(slot)) memcpy(host_at(slot), stored, bytes);
  host_.shorten(slot, round_up(bytes));
  return Kept{Kept::Where::kHost, slot, static_cast<uint32_t>(bytes)};
}

Result<SwapStore::Kept> SwapStore::keep_in_file(std::span<uint8_t> room, size_t bytes) {
  TESSERA_ASSIGN_OR_RETURN(const uint32_t slot, file_->write(room.first(round_up(bytes))));
  return Kept{Kept::Where::kFile, slot, static_cast<uint32_t>(bytes)};
}

Result<std::span<const uint8_t>> SwapStore::opened(const Kept& kept) {
  const std::span<uint8_t> page = encoded_->room().first(granule_bytes_);
  switch (kept.where) {
    case Kept::Where::kHost:
      return codec_.plain().open({host_at(kept.slot), kept.stored_bytes}, page);
    case Kept::Where::kFile: {
      const std::span<uint8_t> room = fetched_->room().first(round_up(kept.stored_bytes));
      TESSERA_RETURN_IF_ERROR(file_->read(kept.slot, room));
      return codec_.plain().open(room.first(kept.stored_bytes), page);
    }
    default:
      memset(page.data(), 0, page.size());
      return std::span<const uint8_t>(page);
  }
}

Status SwapStore::get(std::span<const Kept> kept, Transfer& to_device) {
  Status status;
  for (size_t i = 0; i < kept.size() && status.ok(); ++i) {
    if (is_raw() && kept[i].where == Kept::Where::kHost) {
      status = to_device.begin(i, host_at(kept[i].slot));
      continue;
    }
    const auto page = opened(kept[i]);
    status = page.status();
    if (page.ok()) status = to_device.begin(i, const_cast<uint8_t*>(page->data()));
    const Status copied = to_device.wait();
    if (status.ok()) status = copied;
  }
  const Status copied = to_device.wait();
  return status.ok() ? copied : status;
}

void SwapStore::give_back(const Kept& kept) {
  sizes_.granule_bytes -= granule_bytes_;
  const uint64_t bytes = round_up(kept.stored_bytes);
  if (kept.where == Kept::Where::kHost) {
    host_.give_back(kept.slot);
    budget_.credit(bytes);
    sizes_.host_bytes -= bytes;
  } else if (kept.where == Kept::Where::kFile) {
    file_->give_back(kept.slot);
    sizes_.file_bytes -= bytes;
  }
}

}  // namespace tessera::memory
