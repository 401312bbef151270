#include "remote/client/bulk.h"

#include <algorithm>
#include <cstring>

#include "cache/content_cache.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/wide_copy.h"
#include "remote/client/request.h"
#include "remote/wire/content.h"
#include "remote/wire/copy.h"

namespace tessera::remote {
namespace {

// Smaller tensors are not worth a round trip of their own.
constexpr uint64_t kLeastNamedCopy = 1 << 20;
// The server gives slots back while it copies; one that does not gets the pieces through the ring.
constexpr std::chrono::seconds kAreaPatience(1);

}  // namespace

void Bulk::begin(const Way& way, Connect connect) {
  way_ = way;
  connect_ = std::move(connect);
  up_ = down_ = StripeChoice(std::min(way.most_stripes, Stripes::kMost));
  if (!way.is_wire) encoder_.give_up();
}

// Those that are missing are made. A server that takes no more has said how many there are.
size_t Bulk::open_stripes(StripeChoice& choice, uint64_t bytes) {
  if (bytes < StripeChoice::kLeastBytes || connect_ == nullptr) return 0;
  std::lock_guard lock(opening_);
  while (choice.count() > 1 && stripes_.count() < choice.count()) {
    auto link = connect_(stripes_.count());
    Status status = link.ok() ? stripes_.add(std::move(*link)) : link.status();
    if (status.ok()) continue;
    LOG_INFO("remote", "no further connection for large copies: %s", status.message().c_str());
    for (StripeChoice* both : {&up_, &down_}) both->bound(stripes_.count());
    break;
  }
  return choice.count() > 1 ? choice.count() : 0;
}

size_t Bulk::stripes_down(uint64_t bytes) { return open_stripes(down_, bytes); }

void Bulk::came_down(uint64_t bytes, uint64_t nanoseconds, bool is_striped) {
  std::lock_guard lock(opening_);
  if (is_striped == (down_.count() > 1)) down_.report(bytes, nanoseconds);
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
  const bool is_worth =
      way_.is_wire && way_.keeps_content && code.size() >= cache::ContentCache::kLeastBlobBytes;
  return is_worth ? std::optional(digest(code)) : std::nullopt;
}

std::optional<cache::Digest> Bulk::name_of_copy(ByteSpan content) {
  if (!way_.is_wire || !way_.keeps_content || content.size() < kLeastNamedCopy ||
      content.size() > kMaxImageBytes)
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
Bulk::Upload::Upload(Bulk& bulk, uint64_t bytes)
    : bulk_(bulk), turn_(bulk.uploading_, std::try_to_lock), bytes_(bytes), began_ns_(monotonic_ns()) {
  if (!turn_) return;
  stripes_ = bulk_.open_stripes(bulk_.up_, bytes);
  bulk_.encoder_.begin();
}

void Bulk::Upload::sent() {
  if (turn_) bulk_.encoder_.sent(stripes_ > 0 ? bulk_.stripes_.peer_had() : bulk_.link_->peer_had());
}

void Bulk::Upload::done() {
  if (!turn_) return;
  sent();
  {
    std::lock_guard lock(bulk_.opening_);
    bulk_.up_.report(bytes_, monotonic_ns() - began_ns_);
  }
  std::lock_guard lock(bulk_.naming_lock_);
  bulk_.naming_.sent(bytes_, bulk_.encoder_.bytes_per_second());
}

Status Bulk::read_piece(const PieceHeader& piece, std::span<std::byte> place) {
  const bool is_plain = piece.form == PieceForm::kPlain && piece.stored == piece.bytes;
  const bool is_coded =
      piece.form == PieceForm::kCoded && piece.stored < piece.bytes && piece.bytes <= kPieceBytes;
  SharedArea* const area = link_->area_in();
  const bool is_in_area = piece.form == PieceForm::kArea && area != nullptr && piece.stored < kAreaSlots &&
                          piece.bytes <= kAreaSlotBytes && piece.number == 0;
  if (is_in_area) {
    const auto slot = static_cast<uint32_t>(piece.stored);
    wide_copy(place.data(), area->slot(slot).data(), place.size(), CopyTo::kMemory);
    area->give_back(slot);
    return Status();
  }
  if ((!is_plain && !is_coded) || (piece.number != 0 && stripes_.count() == 0))
    return Status(Code::kInvalidData, "the server sent a piece of a payload that makes no sense");
  if (is_plain && piece.number == 0) return link_->read(place);
  if (piece.number != 0) {
    TESSERA_ASSIGN_OR_RETURN(stored_, stripes_.take(piece.number));
    if (stored_.size() != piece.stored)
      return Status(Code::kInvalidData, "the server sent another piece than it said");
  } else {
    stored_.resize(piece.stored);
    TESSERA_RETURN_IF_ERROR(link_->read(stored_));
  }
  if (is_plain) {
    memcpy(place.data(), stored_.data(), place.size());
    return Status();
  }
  return decoder_.decode(std::span(reinterpret_cast<const uint8_t*>(stored_.data()), stored_.size()),
                         std::span(reinterpret_cast<uint8_t*>(place.data()), place.size()));
}

// From its first piece on: what the device still had to do before is none of the way's.
Status Bulk::read_payload(std::span<std::byte> space) {
  const uint64_t bytes = space.size();
  uint64_t began_ns = 0;
  bool is_striped = false;
  while (!space.empty()) {
    PieceHeader piece;
    TESSERA_RETURN_IF_ERROR(link_->read(std::as_writable_bytes(std::span(&piece, 1))));
    if (piece.bytes == 0 || piece.bytes > space.size())
      return Status(Code::kInvalidData, "the server sent a piece of a payload that is too large");
    if (began_ns == 0) began_ns = monotonic_ns();
    is_striped = is_striped || piece.number != 0;
    TESSERA_RETURN_IF_ERROR(read_piece(piece, space.first(piece.bytes)));
    std::byte padding[8];
    const uint64_t stored = piece.form == PieceForm::kArea || piece.number != 0 ? 0 : piece.stored;
    TESSERA_RETURN_IF_ERROR(link_->read(std::span(padding, padded(stored) - stored)));
    space = space.subspan(piece.bytes);
  }
  if (bytes >= StripeChoice::kLeastBytes) came_down(bytes, monotonic_ns() - began_ns, is_striped);
  return Status();
}

CUresult announce_content(unsigned server, const cache::Digest& name, uint64_t bytes, bool follows) {
  const ContentFields fields{name, bytes, follows ? uint64_t{1} : uint64_t{0}};
  return Request(Message::kContent, false).to(server).value(fields).queue();
}

namespace {

CUresult send_piece(unsigned server, Bulk::Upload& upload, ByteSpan piece, CopyFields fields, bool per_thread,
                    uint64_t* taken_at) {
  Session& session = *session_of(server);
  Bulk& bulk = session.bulk();
  Request request(Message::kCopyIn, per_thread);
  request.to(server);
  const auto slot = bulk.area() == nullptr ? std::nullopt : bulk.area()->take(kAreaPatience);
  if (slot) {
    wide_copy(bulk.area()->slot(*slot).data(), piece.data(), piece.size(), CopyTo::kCache);
    fields.form = PieceForm::kArea;
    fields.stored = *slot;
    return request.value(fields).send_piece({}, false, taken_at);
  }
  const ByteSpan coded = upload.encode(piece);
  const ByteSpan payload = coded.empty() ? piece : coded;
  if (!coded.empty()) fields.form = PieceForm::kCoded;
  fields.stored = payload.size();
  if (upload.stripes() == 0) return request.value(fields).send_piece(payload, coded.empty(), taken_at);
  const auto number = bulk.stripes().send(payload, upload.stripes());
  if (!number.ok()) return session.lost(number.status());
  fields.number = *number;
  return request.value(fields).send_piece({}, false, taken_at);
}

}  // namespace

CUresult copy_in_pieces(unsigned server, uint64_t device, ByteSpan source, uint64_t stream, bool per_thread) {
  Session* found = session_of(server);
  if (found == nullptr) return without_session();
  Bulk& bulk = found->bulk();
  if (const auto name = bulk.name_of_copy(source)) {
    (void)announce_content(server, *name, source.size(), false);
    Request named(Message::kCopyIn, per_thread);
    const CUresult result =
        named.to(server)
            .value(CopyFields{device, source.size(), stream, PieceForm::kPlain, 0, source.size(), 0})
            .run();
    if (result != kContentWanted) {
      if (result == CUDA_SUCCESS) bulk.was_there(source.size());
      return result;
    }
    bulk.was_not_there(source.size());
    (void)announce_content(server, *name, source.size(), true);
  }
  Bulk::Upload upload(bulk, source.size());
  uint64_t taken_at = 0;
  const uint64_t most = bulk.area() == nullptr ? kPieceBytes : kAreaSlotBytes;
  for (uint64_t at = 0; at < source.size();) {
    const ByteSpan piece = source.subspan(at, std::min<uint64_t>(source.size() - at, most));
    const CUresult result =
        send_piece(server, upload, piece, {device + at, piece.size(), stream}, per_thread, &taken_at);
    if (result != CUDA_SUCCESS) return result;
    upload.sent();
    at += piece.size();
  }
  const CUresult result = found->wait_taken(taken_at);
  if (upload.stripes() > 0) {
    const Status drained = bulk.stripes().drain();
    if (!drained.ok()) return found->lost(drained);
  }
  upload.done();
  return result;
}

}  // namespace tessera::remote
