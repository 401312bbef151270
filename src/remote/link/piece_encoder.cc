#include "remote/link/piece_encoder.h"

#include "common/clock.h"

namespace tessera::remote {
namespace {

constexpr double kUnknownRate = 1e9;

}  // namespace

PieceEncoder::PieceEncoder() : codec_(kUnknownRate, monotonic_ns, memory::Work::kBesideTransfer) {}

ByteSpan PieceEncoder::encode(ByteSpan piece) {
  if (is_given_up_) return {};
  const std::span page(reinterpret_cast<const uint8_t*>(piece.data()), piece.size());
  const double rate = rate_.bytes_per_second();
  const bool looks = rate != 0 && rate < kFasterThanEncodings;
  if (!looks && !memory::all_zeros(page)) return {};
  const uint64_t before = monotonic_ns();
  if (encoded_.size() < memory::PageCodec::bound(page.size()))
    encoded_.resize(memory::PageCodec::bound(page.size()));
  if (looks) codec_.set_bandwidth(rate);
  const auto stored = codec_.encode_or_leave(page, encoded_);
  rate_.worked(monotonic_ns() - before);
  if (!stored.ok() || *stored >= piece.size()) return {};
  return std::as_bytes(std::span(encoded_)).first(*stored);
}

void PieceEncoder::sent(uint64_t peer_had) {
  rate_.look(peer_had, monotonic_ns());
  bytes_per_second_.store(rate_.bytes_per_second(), std::memory_order_relaxed);
}

}  // namespace tessera::remote
