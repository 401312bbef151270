#include "remote/link/send_queue.h"

#include <algorithm>
#include <cassert>

namespace tessera::remote {
namespace {

constexpr size_t kSpareBlocks = 16;

}  // namespace

std::shared_ptr<SendQueue::Block> SendQueue::fresh_block() {
  if (spare_.empty()) return std::make_shared<Block>();
  auto block = std::move(spare_.back());
  spare_.pop_back();
  block->used = 0;
  return block;
}

std::byte* SendQueue::room(size_t bytes) {
  assert(bytes <= kBlockBytes);
  if (filling_ != nullptr && filling_.use_count() == 1) filling_->used = 0;  // all of it has been received
  if (filling_ == nullptr || kBlockBytes - filling_->used < bytes) filling_ = fresh_block();
  return filling_->bytes.get() + filling_->used;
}

void SendQueue::append(size_t bytes) {
  assert(filling_ != nullptr && kBlockBytes - filling_->used >= bytes);
  const std::byte* start = filling_->bytes.get() + filling_->used;
  filling_->used += bytes;
  appended_ += bytes;
  if (!pieces_.empty() && pieces_.back().block == filling_) {
    pieces_.back().bytes += bytes;  // the room follows what was appended last
  } else {
    pieces_.push_back({start, bytes, filling_});
  }
}

void SendQueue::append_borrowed(ByteSpan bytes) {
  if (bytes.empty()) return;
  pieces_.push_back({bytes.data(), bytes.size(), nullptr});
  appended_ += bytes.size();
  // What follows is a piece of its own, though its block may be the one before this.
  filling_ = nullptr;
}

SendQueue::Pieces SendQueue::unsent(std::span<iovec> pieces, size_t limit) const {
  while (cursor_piece_ < pieces_.size() && cursor_offset_ + pieces_[cursor_piece_].bytes <= sent_ &&
         cursor_piece_ + 1 < pieces_.size()) {
    cursor_offset_ += pieces_[cursor_piece_].bytes;
    ++cursor_piece_;
  }
  Pieces found;
  uint64_t skip = sent_ - cursor_offset_;
  for (size_t i = cursor_piece_; i < pieces_.size() && found.count < pieces.size() && found.bytes < limit;
       ++i) {
    const size_t left = pieces_[i].bytes - std::min<uint64_t>(skip, pieces_[i].bytes);
    if (left > 0) {
      const size_t taken = std::min(left, limit - found.bytes);
      pieces[found.count++] = {const_cast<std::byte*>(pieces_[i].data + (pieces_[i].bytes - left)), taken};
      found.bytes += taken;
    }
    skip -= pieces_[i].bytes - left;
  }
  return found;
}

bool SendQueue::mark_received(uint64_t offset) {
  if (offset < received_ || offset > std::max(sent_, received_)) return false;
  uint64_t passed = offset - received_;
  while (passed > 0) {
    Piece& first = pieces_.front();
    const size_t gone = std::min<uint64_t>(passed, first.bytes);
    first.data += gone;
    first.bytes -= gone;
    passed -= gone;
    if (first.bytes > 0) break;
    if (first.block != nullptr && first.block != filling_ && first.block.use_count() == 1 &&
        spare_.size() < kSpareBlocks) {
      spare_.push_back(std::move(first.block));
    }
    pieces_.pop_front();
  }
  received_ = offset;
  cursor_piece_ = 0;
  cursor_offset_ = received_;
  return true;
}

}  // namespace tessera::remote
