// What a thread of the client has said of its payloads: that the next is content which the server has had
// before and does not come, or that what comes is worth keeping.
#pragma once

#include <optional>

#include "cache/content_cache.h"
#include "remote/wire/content.h"

namespace tessera::remote {

class ContentIn {
 public:
  // `cache`: of the client's identity; null where nothing is kept.
  Status announce(ByteSpan body, cache::ContentCache* cache);

  // The payload of the message that is being served does not come: it is named.
  bool is_named() const { return is_named_; }
  // Named, and not there.
  bool is_missing() const { return is_named_ && !blob_; }
  // The next bytes of what is named, padding included.
  Status read(std::span<std::byte> space);
  // The message has been served: it has to have had all of it.
  Status served();

  // Bytes that have come: they are kept as far as they were announced.
  void arrived(ByteSpan bytes);

 private:
  bool is_named_ = false;
  uint64_t bytes_ = 0, at_ = 0;
  std::optional<cache::Blob> blob_;
  std::optional<cache::ContentCache::Incoming> incoming_;
};

}  // namespace tessera::remote
