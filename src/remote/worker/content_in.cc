#include "remote/worker/content_in.h"

#include <algorithm>
#include <cstring>

#include "common/log.h"
#include "remote/wire/message.h"

namespace tessera::remote {
namespace {

void not_kept(const Status& why) { LOG_INFO("session", "content is not kept: %s", why.message().c_str()); }

}  // namespace

Status ContentIn::announce(ByteSpan body, cache::ContentCache* cache) {
  const auto fields = read_at<ContentFields>(body, 0);
  if (!fields || body.size() != sizeof *fields || fields->follows > 1 || fields->bytes > kMaxImageBytes ||
      is_named_)
    return Status(Code::kInvalidData, "content is announced in a way that makes no sense");
  incoming_.reset();
  is_named_ = fields->follows == 0;
  bytes_ = fields->bytes;
  at_ = 0;
  if (cache == nullptr) return Status();
  if (is_named_) {
    auto found = cache->get(fields->digest);
    if (!found.ok()) LOG_WARN("session", "the cache: %s", found.status().message().c_str());
    if (found.ok() && *found && (*found)->bytes().size() == bytes_) blob_ = std::move(*found);
    return Status();
  }
  auto incoming = cache->receive(fields->digest, bytes_);
  if (incoming.ok()) {
    incoming_.emplace(std::move(*incoming));
  } else {
    not_kept(incoming.status());
  }
  return Status();
}

Status ContentIn::read(std::span<std::byte> space) {
  if (space.size() > padded(bytes_) - at_)
    return Status(Code::kInvalidData, "content is shorter than the message that names it");
  const size_t there = std::min<uint64_t>(space.size(), bytes_ - std::min(at_, bytes_));
  if (there > 0) memcpy(space.data(), blob_->bytes().data() + at_, there);
  std::fill(space.begin() + static_cast<ptrdiff_t>(there), space.end(), std::byte{0});
  at_ += space.size();
  return Status();
}

Status ContentIn::served() {
  const bool is_whole = !is_named_ || !blob_ || at_ >= bytes_;
  is_named_ = false;
  blob_.reset();
  return is_whole ? Status() : Status(Code::kInvalidData, "content is longer than the message that names it");
}

void ContentIn::arrived(ByteSpan bytes) {
  if (!incoming_) return;
  const ByteSpan kept = bytes.first(std::min<uint64_t>(bytes_ - at_, bytes.size()));
  at_ += kept.size();
  Status status = incoming_->append(kept);
  if (status.ok() && at_ < bytes_) return;
  if (status.ok()) status = incoming_->finish();
  if (!status.ok()) not_kept(status);
  incoming_.reset();
}

}  // namespace tessera::remote
