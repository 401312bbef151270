#include "memory/pool/stream_frees.h"

namespace tessera::memory {

void StreamFrees::add(StreamId stream, uint64_t token, uint64_t address, uint64_t size) {
  Stream& frees = streams_[stream];
  frees.by_token.emplace(std::pair(token, address), size);
  frees.by_size.emplace(size, std::pair(token, address));
  bytes_ += size;
  ++count_;
}

std::optional<uint64_t> StreamFrees::take(StreamId stream, uint64_t size) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return std::nullopt;
  Stream& frees = found->second;
  const auto fit = frees.by_size.lower_bound({size, {0, 0}});
  if (fit == frees.by_size.end() || fit->first > size + size / 8) return std::nullopt;
  const auto [bytes, key] = *fit;
  frees.by_size.erase(fit);
  frees.by_token.erase(key);
  bytes_ -= bytes;
  --count_;
  if (frees.by_token.empty()) streams_.erase(found);
  return key.second;
}

std::vector<uint64_t> StreamFrees::passed(StreamId stream, uint64_t token) {
  std::vector<uint64_t> addresses;
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return addresses;
  Stream& frees = found->second;
  auto entry = frees.by_token.begin();
  for (; entry != frees.by_token.end() && entry->first.first <= token; entry = frees.by_token.erase(entry)) {
    addresses.push_back(entry->first.second);
    frees.by_size.erase({entry->second, entry->first});
    bytes_ -= entry->second;
    --count_;
  }
  if (frees.by_token.empty()) streams_.erase(found);
  return addresses;
}

}  // namespace tessera::memory
