// Messages that are no calls of the driver.
#include <iterator>

#include "cuda/abi.h"
#include "remote/wire/content.h"
#include "remote/wire/copy.h"
#include "remote/wire/handle_id.h"
#include "remote/wire/regions.h"
#include "tests/fuzz/remote/composer.h"

namespace tessera::remote::fuzz {

bool Composer::own_message(uint16_t op) {
  switch (static_cast<Message>(op)) {
    case Message::kHello:
      out_.value(in_.byte() < 240 ? kCallsDigest : number());
      out_.value<uint32_t>(in_.byte() % 2);
      out_.value<uint64_t>(in_.byte() < 240 ? first_number(0) : number());
      out_.value(in_.byte() < 224 ? 0 : in_.byte() < 224 ? region_of(in_.byte() % kMostServers) : number());
      for (size_t i = 0; i < std::size(kDriverSettings); ++i) out_.text(nullptr);
      return true;
    case Message::kPrimaryContext:
      out_.value<int32_t>(in_.byte() % 3);
      return true;
    case Message::kUseContext:
      out_.value(handle(HandleKind::kCUcontext));
      return true;
    case Message::kCopyIn: {
      CopyFields fields{number(), in_.byte(), handle(HandleKind::kCUstream)};
      if (in_.byte() >= 192) fields.bytes = in_.byte() < 192 ? in_.word(3) : number();
      fields.form = in_.byte() < 192 ? PieceForm::kPlain : static_cast<PieceForm>(in_.byte() % 4);
      fields.stored = fields.form == PieceForm::kPlain ? fields.bytes : in_.byte();
      if (in_.byte() >= 240) fields.stored = number();
      out_.value(fields);
      payload(fields.stored);
      return true;
    }
    case Message::kCopyOut: {
      CopyFields fields{number(), in_.byte(), handle(HandleKind::kCUstream)};
      if (in_.byte() >= 224) fields.bytes = number();
      out_.value(fields);
      return true;
    }
    case Message::kCopyRow: {
      RowFields fields{handle(HandleKind::kCUarray), number(), in_.byte(), handle(HandleKind::kCUstream)};
      fields.form = in_.byte() % 8;
      if (in_.byte() >= 252) fields.bytes = number();
      out_.value(fields);
      if ((fields.form & kBoxFromClient) != 0) payload(fields.bytes);
      return true;
    }
    case Message::kCopyBox: {
      const uint32_t form = in_.byte() % 8;
      out_.value(form);
      out_.value(handle(HandleKind::kCUstream));
      const size_t at = out_.size();
      box(form);
      CUDA_MEMCPY3D copy;
      memcpy(&copy, fields_.data() + at, sizeof copy);
      // Where it says that it is the program's memory, it is.
      if (in_.byte() < 224) {
        if ((form & kBoxFromClient) != 0) copy.srcMemoryType = CU_MEMORYTYPE_HOST;
        if ((form & kBoxToClient) != 0) copy.dstMemoryType = CU_MEMORYTYPE_HOST;
        memcpy(fields_.data() + at, &copy, sizeof copy);
      }
      if ((form & kBoxFromClient) != 0) payload(copy.WidthInBytes * copy.Height * copy.Depth);
      return true;
    }
    case Message::kHostAdd: {
      const bool is_copied = in_.byte() < 96;
      out_.value(number());
      out_.value(in_.byte() < 250 ? in_.word(2) : number());
      out_.value<uint32_t>(is_copied ? kHostUnregistered : in_.byte() % 8);
      return true;
    }
    case Message::kHostRemove:
    case Message::kHostWatch:
      out_.value(number());
      return true;
    case Message::kHostChanges: {
      const uint64_t span = in_.byte() < 240 ? in_.byte() : number();
      const uint64_t size = in_.byte() < 240 ? (span + 7) / 8 + in_.byte() % 16 : number();
      out_.value(number());
      out_.value(span);
      out_.value(size);
      payload(size);
      return true;
    }
    case Message::kContent: {
      ContentFields fields;
      in_.fill(fields.digest);
      fields.bytes = in_.byte() < 240 ? in_.byte() : number();
      fields.follows = in_.byte() % 3;
      out_.value(fields);
      return true;
    }
    case Message::kFunctionInfo:
      out_.value(handle(in_.byte() < 128 ? HandleKind::kCUfunction : HandleKind::kCUkernel));
      return true;
    case Message::kAllocAt:
      out_.value(in_.byte() < 128 ? kRegionsBegin + (in_.word(2) << 21) : number());
      out_.value(in_.byte() < 240 ? in_.word(3) : number());
      return true;
    case Message::kRename: {
      const auto kind = static_cast<HandleKind>(in_.byte() % 24);
      out_.value(handle(kind));
      out_.value(in_.byte() < 240 ? handle_id(kind, first_number(1) + in_.byte() % 16) : number());
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
