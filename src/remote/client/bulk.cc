#include "remote/client/bulk.h"

#include <algorithm>

#include "cache/content_cache.h"
#include "common/clock.h"
#include "remote/client/request.h"
#include "remote/wire/content.h"
#include "remote/wire/copy.h"

namespace tessera::remote {
namespace {

// Smaller tensors are not worth a round trip of their own.
constexpr uint64_t kLeastNamedCopy = 1 << 20;

}  // namespace

void Bulk::begin(bool is_wire, bool keeps_content) {
  is_wire_ = is_wire;
  keeps_content_ = keeps_content;
  if (!is_wire) encoder_.give_up();
}

cache::Digest Bulk::digest(ByteSpan content) {
  const uint64_t before = monotonic_ns();
  const cache::Digest digest = cache::digest_of(content);
  std::lock_guard lock(naming_lock_);
  naming_.digested(content.size(), monotonic_ns() - before);
  return digest;
}

// To load code takes longer than to name it, whatever the wire.
std::optional<cache::Digest> Bulk::name_of_code(ByteSpan code) {
  const bool is_worth = is_wire_ && keeps_content_ && code.size() >= cache::ContentCache::kLeastBlobBytes;
  return is_worth ? std::optional(digest(code)) : std::nullopt;
}

std::optional<cache::Digest> Bulk::name_of_copy(ByteSpan content) {
  if (!is_wire_ || !keeps_content_ || content.size() < kLeastNamedCopy || content.size() > kMaxImageBytes)
    return std::nullopt;
  {
    std::lock_guard lock(naming_lock_);
    if (!naming_.pays(content.size(), encoder_.bytes_per_second())) return std::nullopt;
  }
  return digest(content);
}

void Bulk::was_there(uint64_t bytes) {
  std::lock_guard lock(naming_lock_);
  naming_.was_there(bytes, encoder_.bytes_per_second());
}

void Bulk::was_not_there(uint64_t bytes) {
  std::lock_guard lock(naming_lock_);
  naming_.was_not_there(bytes);
}

// Others send theirs as it is meanwhile: the processor has enough to do.
Bulk::Upload::Upload(Bulk& bulk) : bulk_(bulk), turn_(bulk.uploading_, std::try_to_lock) {
  if (turn_) bulk_.encoder_.begin();
}

void Bulk::Upload::done(uint64_t bytes) {
  sent();
  std::lock_guard lock(bulk_.naming_lock_);
  bulk_.naming_.sent(bytes, bulk_.encoder_.bytes_per_second());
}

Status Bulk::read_payload(std::span<std::byte> space) {
  while (!space.empty()) {
    PieceHeader piece;
    TESSERA_RETURN_IF_ERROR(link_->read(std::as_writable_bytes(std::span(&piece, 1))));
    const bool is_plain = piece.form == PieceForm::kPlain && piece.stored == piece.bytes;
    const bool is_coded =
        piece.form == PieceForm::kCoded && piece.stored < piece.bytes && piece.bytes <= kPieceBytes;
    if (piece.bytes == 0 || piece.bytes > space.size() || (!is_plain && !is_coded))
      return Status(Code::kInvalidData, "the server sent a piece of a payload that makes no sense");
    const std::span<std::byte> place = space.first(piece.bytes);
    if (is_plain) {
      TESSERA_RETURN_IF_ERROR(link_->read(place));
    } else {
      stored_.resize(piece.stored);
      TESSERA_RETURN_IF_ERROR(link_->read(stored_));
      TESSERA_RETURN_IF_ERROR(
          decoder_.decode(std::span(reinterpret_cast<const uint8_t*>(stored_.data()), stored_.size()),
                          std::span(reinterpret_cast<uint8_t*>(place.data()), place.size())));
    }
    std::byte padding[8];
    TESSERA_RETURN_IF_ERROR(link_->read(std::span(padding, padded(piece.stored) - piece.stored)));
    space = space.subspan(piece.bytes);
  }
  return Status();
}

CUresult announce_content(unsigned server, const cache::Digest& name, uint64_t bytes, bool follows) {
  const ContentFields fields{name, bytes, follows ? uint64_t{1} : uint64_t{0}};
  return Request(Message::kContent, false).to(server).value(fields).queue();
}

CUresult copy_in_pieces(unsigned server, uint64_t device, ByteSpan source, uint64_t stream, bool per_thread) {
  Session* found = session_of(server);
  if (found == nullptr) return without_session();
  Bulk& bulk = found->bulk();
  if (const auto name = bulk.name_of_copy(source)) {
    (void)announce_content(server, *name, source.size(), false);
    Request named(Message::kCopyIn, per_thread);
    const CUresult result =
        named.to(server)
            .value(CopyFields{device, source.size(), stream, PieceForm::kPlain, 0, source.size()})
            .run();
    if (result != kContentWanted) {
      if (result == CUDA_SUCCESS) bulk.was_there(source.size());
      return result;
    }
    bulk.was_not_there(source.size());
    (void)announce_content(server, *name, source.size(), true);
  }
  Bulk::Upload upload(bulk);
  uint64_t taken_at = 0;
  for (uint64_t at = 0; at < source.size();) {
    const ByteSpan piece = source.subspan(at, std::min<uint64_t>(source.size() - at, kPieceBytes));
    const ByteSpan coded = upload.encode(piece);
    const ByteSpan payload = coded.empty() ? piece : coded;
    const PieceForm form = coded.empty() ? PieceForm::kPlain : PieceForm::kCoded;
    Request request(Message::kCopyIn, per_thread);
    request.to(server).value(CopyFields{device + at, piece.size(), stream, form, 0, payload.size()});
    const CUresult result = request.send_piece(payload, coded.empty(), &taken_at);
    if (result != CUDA_SUCCESS) return result;
    upload.sent();
    at += piece.size();
  }
  const CUresult result = found->wait_taken(taken_at);
  upload.done(source.size());
  return result;
}

}  // namespace tessera::remote
