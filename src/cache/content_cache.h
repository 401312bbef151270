// Content that was sent once need not be sent again: modules, kernels' text and tensors, by their digest, in
// files that outlive sessions and servers.
//
// Each identity has a folder of its own and finds nothing else: what others have had cannot be probed. All of
// it together is bounded; what was not used for longest goes first, an identity's own before that of others.
// What is read is checked against its digest, so a file that is damaged, cut or tampered with is one that is
// not there. Safe from several threads and processes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cache/digest.h"
#include "common/fd.h"
#include "common/status.h"

namespace tessera::cache {

// Memory of one's own: whatever happens to the file, it stays.
class Blob {
 public:
  Blob() = default;
  Blob(Blob&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Blob& operator=(Blob&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Blob();

  ByteSpan bytes() const { return bytes_; }

 private:
  friend class ContentCache;
  explicit Blob(std::span<std::byte> bytes) : bytes_(bytes) {}
  static Result<Blob> allocate(size_t bytes);

  std::span<std::byte> bytes_;
};

class ContentCache {
 public:
  // What is smaller costs less to send than to look for.
  static constexpr size_t kLeastBlobBytes = size_t{64} << 10;

  struct Options {
    std::string directory;                    // made with mode 0700; refused where others may write to it
    std::string identity;                     // whose content
    uint64_t most_bytes = uint64_t{4} << 30;  // of all identities
    uint64_t most_identity_bytes = uint64_t{1} << 30;  // of each
  };
  static Result<ContentCache> open(const Options& options);

  // Nothing where it is not there any more. Counts as a use.
  Result<std::optional<Blob>> get(const Digest& digest);
  // Without reading it: it may be gone, or damaged, at the next get().
  bool may_have(const Digest& digest) const;
  // kInvalidArgument where `bytes` are not what has that digest, or fewer than kLeastBlobBytes;
  // kResourceExhausted where they are more than an identity may have, or the disk is full.
  Status put(const Digest& digest, ByteSpan bytes);

  // Content that comes piece by piece. It counts from here on, and is found once finish() has seen that it is
  // what it is called. The cache has to outlive it.
  class Incoming {
   public:
    Incoming(Incoming&& other) noexcept;
    Incoming& operator=(Incoming&&) = delete;
    ~Incoming();  // what is not finished is gone

    // In order. After an error all others fail.
    Status append(ByteSpan bytes);
    // Errors as of put().
    Status finish();

   private:
    friend class ContentCache;
    Incoming(const ContentCache& cache, const Digest& digest, uint64_t bytes)
        : cache_(&cache), digest_(digest), bytes_(bytes) {}
    Status fail(Status why);
    void remove();

    const ContentCache* cache_;
    Digest digest_;
    uint64_t bytes_ = 0, appended_ = 0;
    Digester digester_;
    UniqueFd file_;  // none: the content is there already
    std::string name_;
    Status failure_;
  };
  Result<Incoming> receive(const Digest& digest, uint64_t bytes);

  // Of this identity, as files are now.
  uint64_t used_bytes() const;

 private:
  struct Entry {
    std::string folder;  // below the directory
    std::string name;
    uint64_t bytes = 0;
    int64_t used_ns = 0;  // when it was last
  };

  ContentCache(Options options, UniqueFd directory, UniqueFd own, std::string own_name)
      : options_(std::move(options)),
        directory_(std::move(directory)),
        own_(std::move(own)),
        own_name_(std::move(own_name)) {}

  Result<std::optional<Blob>> read_checked(int file, const Digest& digest) const;
  bool has_already(const std::string& name, uint64_t bytes) const;
  // Until `bytes` more fit. The caller holds the lock.
  Status make_room(uint64_t bytes);
  std::vector<Entry> list(const std::string& folder) const;
  std::vector<std::string> folders() const;
  bool remove(const Entry& entry) const;

  Options options_;
  UniqueFd directory_, own_;
  std::string own_name_;
};

}  // namespace tessera::cache
