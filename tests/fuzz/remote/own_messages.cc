// Messages that are no calls of the driver.
#include <iterator>

#include "cache/digest.h"
#include "cuda/abi.h"
#include "memory/codec/page_codec.h"
#include "remote/wire/content.h"
#include "remote/wire/copy.h"
#include "remote/wire/handle_id.h"
#include "remote/wire/regions.h"
#include "tests/fuzz/remote/composer.h"

namespace tessera::remote::fuzz {

// Pieces that are compressed are so, more often than not.
void Composer::copy_in() {
  CopyFields fields{number(), byte(), handle(HandleKind::kCUstream)};
  if (byte() >= 192) fields.bytes = byte() < 192 ? long_size() : number();
  const uint8_t how = byte();
  fields.form = how < 144   ? PieceForm::kPlain
                : how < 176 ? PieceForm::kCoded
                : how < 208 ? PieceForm::kArea
                            : static_cast<PieceForm>(how % 4);
  fields.stored = fields.form == PieceForm::kPlain ? fields.bytes : byte();
  if (fields.form == PieceForm::kArea) fields.stored %= 64;
  if (fields.form == PieceForm::kCoded && byte() < 192) return coded_copy_in(fields);
  if (byte() >= 240) fields.stored = number();
  out_.value(fields);
  if (fields.form != PieceForm::kArea) payload(fields.stored);
}

void Composer::coded_copy_in(CopyFields fields) {
  const std::vector<uint8_t> page(4096 * (1 + byte() % 16), byte());
  std::vector<uint8_t> coded(memory::PageCodec::bound(page.size()));
  memory::PageCodec codec;
  fields.bytes = page.size();
  fields.stored = codec.encode({memory::Compression::kLz4, 1}, page, coded).value();
  out_.value(fields);
  const ByteSpan stored = std::as_bytes(std::span(coded)).first(fields.stored);
  payload_.insert(payload_.end(), stored.begin(), stored.end());
  payload_.resize(padded(payload_.size()));
}

void Composer::copy_box() {
  const uint32_t form = byte() < 224 ? byte() % 2 + (byte() % 3) * 2 : byte() % 8;
  out_.value(form);
  out_.value(handle(HandleKind::kCUstream));
  const size_t at = out_.size();
  box();
  CUDA_MEMCPY3D copy;
  memcpy(&copy, fields_.data() + at, sizeof copy);
  // Where it says that it is the program's memory, it is; and where not, not.
  if (byte() < 224) {
    copy.srcMemoryType = (form & kBoxFromClient) != 0 ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE;
    copy.dstMemoryType = (form & kBoxToClient) != 0 ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_ARRAY;
    memcpy(fields_.data() + at, &copy, sizeof copy);
  }
  if ((form & kBoxFromClient) != 0) payload(copy.WidthInBytes * copy.Height * copy.Depth);
}

bool Composer::own_message(uint16_t op) {
  switch (static_cast<Message>(op)) {
    case Message::kHello:
      out_.value(byte() < 240 ? kCallsDigest : number());
      out_.value<uint32_t>(byte() % 2);
      out_.value<uint64_t>(byte() < 240 ? first_number(0) : number());
      out_.value(byte() < 224 ? 0 : byte() < 224 ? region_of(byte() % kMostServers) : number());
      for (size_t i = 0; i < std::size(kDriverSettings); ++i) out_.text(byte() < 160 ? nullptr : "0");
      return true;
    case Message::kPrimaryContext:
      out_.value<int32_t>(byte() % 3);
      return true;
    case Message::kUseContext:
      out_.value(handle(HandleKind::kCUcontext));
      return true;
    case Message::kCopyIn:
      copy_in();
      return true;
    case Message::kCopyOut: {
      CopyFields fields{number(), byte(), handle(HandleKind::kCUstream)};
      if (byte() >= 160) fields.bytes = byte() < 192 ? long_size() : number();
      out_.value(fields);
      return true;
    }
    case Message::kCopyRow: {
      RowFields fields{handle(HandleKind::kCUarray), number(), byte(), handle(HandleKind::kCUstream)};
      fields.form = byte() % 8;
      if (byte() >= 252) fields.bytes = number();
      out_.value(fields);
      if ((fields.form & kBoxFromClient) != 0) payload(fields.bytes);
      return true;
    }
    case Message::kCopyBox:
      copy_box();
      return true;
    case Message::kHostAdd: {
      const bool is_copied = byte() < 96;
      out_.value(program_address());
      out_.value(byte() < 250 ? in_->word(2) : number());
      out_.value<uint32_t>(is_copied ? kHostUnregistered : byte() % 8);
      return true;
    }
    case Message::kHostRemove:
    case Message::kHostWatch:
      out_.value(program_address());
      return true;
    case Message::kHostChanges: {
      const uint64_t span = byte() < 240 ? byte() : number();
      const uint64_t size = byte() < 240 ? (span + 7) / 8 + byte() % 16 : number();
      out_.value(program_address());
      out_.value(span);
      out_.value(size);
      payload(size);
      return true;
    }
    case Message::kContent: {
      ContentFields fields;
      fields.follows = byte() < 240 ? byte() % 2 : byte() % 3;
      if (byte() < 192) {
        fields.digest = cache::digest_of(image());
        fields.bytes = image().size();
        named_ = fields.follows == 1;
      } else {
        in_->fill(fields.digest);
        fields.bytes = byte() < 240 ? byte() : number();
      }
      out_.value(fields);
      return true;
    }
    case Message::kFunctionInfo:
      out_.value(handle(byte() < 128 ? HandleKind::kCUfunction : HandleKind::kCUkernel));
      return true;
    case Message::kAllocAt:
      out_.value(byte() < 128 ? kRegionsBegin + (in_->word(2) << 21) : number());
      out_.value(byte() < 240 ? in_->word(3) : number());
      return true;
    case Message::kRename: {
      const auto kind = static_cast<HandleKind>(1 + byte() % 20);
      out_.value(handle(kind));
      out_.value(byte() < 240 ? handle_id(kind, first_number(1) + byte() % 16) : number());
      return true;
    }
    case Message::kCallbackDone:
      out_.value(small());
      return true;
    default:
      return true;
  }
}

}  // namespace tessera::remote::fuzz
