#include "tests/fuzz/remote/composer.h"

#include "cuda/abi.h"
#include "remote/wire/copy.h"
#include "remote/wire/handle_id.h"
#include "remote/wire/launch.h"
#include "tests/fuzz/remote/shapes.h"

namespace tessera::remote::fuzz {
namespace {

constexpr uint64_t kMostPayload = 64 << 10;  // longer ones end with the stream
constexpr size_t kMostKnown = 64;
constexpr uint16_t kOwnMessages = static_cast<uint16_t>(Message::kGoodbye) - kFirstOwnMessage + 1;
constexpr uint64_t kProgramMemory = 0x2a0000000000;  // where the program's memory is, as far as it has any

const char kPtx[] = ".version 6.3\n.target sm_70\n.address_size 64\n.visible .entry k() { ret; }\n";

}  // namespace

uint64_t Composer::number() {
  switch (in_.byte() % 8) {
    case 0:
      return 0;
    case 1:
    case 2:
      return in_.byte() % 16;
    case 3:
      return uint64_t{1} << (in_.byte() % 48);
    case 4:
      return in_.word(8);
    case 5:
      return in_.word(2);
    case 6:
      return kProgramMemory + 4096 * (in_.byte() % 8) + in_.byte() % 64;
    default:
      return ~uint64_t{0} - in_.byte() % 16;
  }
}

uint64_t Composer::handle(HandleKind kind) {
  const uint8_t how = in_.byte();
  if (how < 16) return 0;
  if (how < 24) return number();
  if (how < 32 && kind == HandleKind::kCUstream) return how % 3;  // legacy and per thread
  if (how < 64 && (kind == HandleKind::kCUstream || kind == HandleKind::kCUevent))
    return handle_id(kind, kOfClient + how % 4);
  std::lock_guard lock(lock_);
  const auto& found = known_[kind];
  return found.empty() ? handle_id(kind, how % 8) : found[how % found.size()];
}

uint64_t Composer::new_handle(HandleKind kind) {
  const uint8_t how = in_.byte();
  return how < 8 ? number() : handle_id(kind, kOfClient + how % 4);
}

void Composer::learn(ByteSpan sent) {
  std::lock_guard lock(lock_);
  for (size_t at = 0; at + 8 <= sent.size(); at += 8) {
    uint64_t word;
    memcpy(&word, sent.data() + at, sizeof word);
    if (!is_handle_id(word)) continue;
    auto& ids = known_[kind_of(word)];
    if (ids.size() < kMostKnown && std::find(ids.begin(), ids.end(), word) == ids.end()) ids.push_back(word);
  }
}

void Composer::payload(uint64_t count) {
  const size_t at = payload_.size();
  payload_.resize(at + padded(std::min(count, kMostPayload)));
  in_.fill(std::span(payload_).subspan(at).first(std::min<uint64_t>(count, in_.byte())));
}

void Composer::bytes(uint64_t count) {
  std::vector<std::byte> piece(count);
  in_.fill(piece);
  out_.raw(piece.data(), piece.size());
}

// --- Calls as the tables say that they travel

void Composer::generated(uint16_t op) {
  const std::vector<Field>& shape = kShapes[op];
  // Numbers of elements are said by fields of their own, which may come behind the elements.
  std::vector<uint64_t> counts(shape.size());
  for (uint64_t& count : counts) count = small();
  for (size_t i = 0; i < shape.size(); ++i) {
    const Field& field = shape[i];
    const bool counts_others = std::any_of(shape.begin(), shape.end(), [&](const Field& other) {
      return other.counted_by == static_cast<int>(i);
    });
    if (field.type == Field::kValue) {
      const uint64_t value = field.handle != HandleKind::kNone ? handle(field.handle)
                             : counts_others                   ? counts[i]
                                                               : number();
      if (field.bytes <= 8) {
        out_.raw(&value, field.bytes);
      } else {
        bytes(field.bytes);
      }
    } else if (field.type == Field::kText) {
      static constexpr const char* kTexts[] = {"k", "", "a_variable", nullptr};
      out_.text(kTexts[in_.byte() % 4]);
    } else if (field.type == Field::kWanted) {
      out_.value<uint64_t>(in_.byte() < 224 ? 1 : 0);
    } else if (in_.byte() < 16) {
      out_.count(kAbsent);
    } else {
      const uint64_t said = field.counted_by < 0 ? field.less : counts[field.counted_by];
      const uint64_t count = field.type == Field::kStructure ? 1
                             : field.counted_by < 0          ? said
                                                             : said - std::min(said, field.less);
      out_.count(count);
      if (field.handle == HandleKind::kNone) {
        bytes(count * field.bytes);
      } else {
        for (uint64_t n = 0; n < count; ++n) out_.value(handle(field.handle));
      }
    }
  }
}

// --- Calls and messages with fields of their own

void Composer::jit_options(uint64_t count) {
  out_.count(count);
  std::vector<uint32_t> names(count);
  for (uint32_t& name : names) name = in_.byte() % 36;
  out_.raw(names.data(), names.size() * 4);
  out_.count(count);
  for (uint64_t i = 0; i < count; ++i) out_.value(number());
}

void Composer::image_fields() {
  const bool is_text = in_.byte() < 192;
  const uint64_t size = is_text ? sizeof kPtx : in_.byte();
  out_.value<uint32_t>(is_text ? 0 : in_.byte() % 4);
  const uint64_t sizes[] = {size, size};
  const uint64_t count = is_text ? 1 : in_.byte() % 3;
  out_.array(sizes, count);
  jit_options(in_.byte() % 5);
  if (is_text) {
    const size_t at = payload_.size();
    payload_.resize(at + padded(sizeof kPtx));
    memcpy(payload_.data() + at, kPtx, sizeof kPtx);
  } else {
    payload(size * count);
  }
}

bool Composer::code(uint16_t op) {
  switch (static_cast<Op>(op)) {
    case Op::cuModuleLoadDataEx:
    case Op::cuLibraryLoadData:
      image_fields();
      return true;
    case Op::cuModuleGetFunction:
    case Op::cuModuleGetGlobal_v2:
      out_.value(handle(HandleKind::kCUmodule));
      out_.text("k");
      return true;
    case Op::cuLibraryGetKernel:
    case Op::cuLibraryGetManaged:
      out_.value(handle(HandleKind::kCUlibrary));
      out_.text("k");
      return true;
    case Op::cuFuncGetName:
      out_.value(handle(in_.byte() % 2 == 0 ? HandleKind::kCUfunction : HandleKind::kCUkernel));
      return true;
    case Op::cuLinkCreate_v2:
      out_.value(number());
      out_.value(number());
      jit_options(in_.byte() % 4);
      return true;
    case Op::cuLinkAddData_v2: {
      const uint64_t size = in_.byte() < 240 ? in_.byte() : number();
      out_.value(handle(HandleKind::kCUlinkState));
      out_.value<uint32_t>(in_.byte() % 8);
      out_.value(size);
      out_.text(in_.byte() % 2 == 0 ? "a name" : nullptr);
      payload(size);
      return true;
    }
    case Op::cuLinkComplete:
    case Op::cuLinkDestroy:
      out_.value(handle(HandleKind::kCUlinkState));
      return true;
    default:
      return false;
  }
}

void Composer::box(unsigned) {
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = static_cast<CUmemorytype>(in_.byte() % 5);
  copy.dstMemoryType = static_cast<CUmemorytype>(in_.byte() % 5);
  copy.WidthInBytes = in_.byte() < 240 ? in_.byte() : number();
  copy.Height = in_.byte() < 240 ? in_.byte() % 8 : number();
  copy.Depth = in_.byte() < 240 ? in_.byte() % 4 : number();
  copy.srcPitch = copy.WidthInBytes + small();
  copy.dstPitch = copy.WidthInBytes + small();
  copy.srcHeight = copy.Height + small();
  copy.dstHeight = copy.Height;
  if (in_.byte() >= 224) copy.srcPitch = number();
  if (in_.byte() >= 224) copy.dstHeight = number();
  if (in_.byte() >= 224) copy.srcXInBytes = number();
  if (in_.byte() >= 224) copy.dstZ = number();
  copy.srcHost = reinterpret_cast<const void*>(number());
  copy.dstHost = reinterpret_cast<void*>(number());
  copy.srcArray = (CUarray)handle(HandleKind::kCUarray);
  copy.dstArray = (CUarray)handle(HandleKind::kCUarray);
  copy.srcDevice = number();
  copy.dstDevice = number();
  out_.value(copy);
}

bool Composer::copies(uint16_t op) {
  switch (static_cast<Op>(op)) {
    case Op::cuMemcpy3DAsync_v2:
      box(0);
      out_.value(handle(HandleKind::kCUstream));
      return true;
    case Op::cuMemcpyHtoDAsync_v2:
    case Op::cuMemcpyDtoHAsync_v2: {
      MirroredCopyFields fields{number(), number(), in_.byte(), handle(HandleKind::kCUstream), small()};
      if (in_.byte() >= 240) fields.bytes = number();
      out_.value(fields);
      return true;
    }
    case Op::cuGraphAddMemcpyNode:
      new_node();
      box(0);
      out_.value(handle(HandleKind::kCUcontext));
      return true;
    case Op::cuGraphExecMemcpyNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphExec));
      [[fallthrough]];
    case Op::cuGraphMemcpyNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphNode));
      box(0);
      out_.value(handle(HandleKind::kCUcontext));
      return true;
    case Op::cuMemAllocManaged: {
      out_.value(in_.byte() < 224 ? uint64_t{in_.byte()} * 64 : number());
      out_.value<uint32_t>(in_.byte() % 4);
      const uint64_t taken = small();
      out_.count(taken);
      for (uint64_t i = 0; i < 2 * taken; ++i) out_.value(number());
      return true;
    }
    case Op::cuPointerGetAttributes: {
      const uint64_t count = in_.byte() < 240 ? in_.byte() % 5 : in_.byte();
      out_.count(count);
      std::vector<uint32_t> attributes(count);
      for (uint32_t& attribute : attributes) attribute = in_.byte() % 24;
      out_.raw(attributes.data(), attributes.size() * 4);
      out_.value(number());
      return true;
    }
    case Op::cuPointerGetAttribute:
      out_.value<uint32_t>(in_.byte() % 24);
      out_.value(number());
      return true;
    default:
      return false;
  }
}

void Composer::new_node() {
  out_.value(handle(HandleKind::kCUgraph));
  const uint64_t count = small();
  out_.count(count);
  for (uint64_t i = 0; i < count; ++i) out_.value(handle(HandleKind::kCUgraphNode));
}

// Parameters as the functions of touching_driver.h have them, more often than not.
void Composer::launch_fields(bool with_attributes) {
  LaunchFields fields;
  fields.function = handle(in_.byte() < 128 ? HandleKind::kCUfunction : HandleKind::kCUkernel);
  fields.stream = handle(HandleKind::kCUstream);
  for (unsigned i = 0; i < 3; ++i) fields.grid[i] = fields.block[i] = static_cast<uint32_t>(small());
  static constexpr uint32_t kSizes[] = {24, 24, 24, 24, 16, 8, 0, 40000};
  fields.parameter_bytes = kSizes[in_.byte() % 8];
  fields.attributes = with_attributes ? in_.byte() % 4 : 0;
  if (in_.byte() >= 250) fields.attributes = static_cast<uint32_t>(number());
  out_.value(fields);
  for (uint32_t i = 0; i < std::min<uint32_t>(fields.attributes, 4); ++i) {
    CUlaunchAttribute attribute{};
    in_.fill(std::as_writable_bytes(std::span(&attribute, 1)));
    attribute.id = static_cast<CUlaunchAttributeID>(in_.byte() % 16);
    if (in_.byte() < 128) attribute.value.programmaticEvent.event = (CUevent)handle(HandleKind::kCUevent);
    out_.value(attribute);
  }
  bytes(fields.parameter_bytes);
}

bool Composer::launches(uint16_t op) {
  switch (static_cast<Op>(op)) {
    case Op::cuLaunchKernel:
    case Op::cuLaunchCooperativeKernel:
      launch_fields(false);
      return true;
    case Op::cuLaunchCooperativeKernelMultiDevice: {
      const uint32_t count = in_.byte() < 240 ? in_.byte() % 4 : static_cast<uint32_t>(number());
      out_.value(count);
      out_.value<uint32_t>(in_.byte() % 4);
      for (uint32_t i = 0; i < std::min<uint32_t>(count, 4); ++i) launch_fields(false);
      return true;
    }
    case Op::cuLaunchKernelEx:
    case Op::cuOccupancyMaxPotentialClusterSize:
    case Op::cuOccupancyMaxActiveClusters:
      launch_fields(true);
      return true;
    case Op::cuLaunchHostFunc:
    case Op::cuStreamAddCallback:
      out_.value(handle(HandleKind::kCUstream));
      out_.value(small());
      return true;
    case Op::cuUserObjectCreate:
      out_.value(small());
      out_.value<uint32_t>(in_.byte());
      out_.value<uint32_t>(in_.byte());
      return true;
    case Op::cuThreadExchangeStreamCaptureMode:
      out_.count(in_.byte() < 240 ? 1 : kAbsent);
      out_.value<uint32_t>(in_.byte() % 4);
      return true;
    default:
      return false;
  }
}

bool Composer::graphs(uint16_t op) {
  switch (static_cast<Op>(op)) {
    case Op::cuGraphAddKernelNode_v2:
      new_node();
      launch_fields(false);
      return true;
    case Op::cuGraphExecKernelNodeSetParams_v2:
      out_.value(handle(HandleKind::kCUgraphExec));
      [[fallthrough]];
    case Op::cuGraphKernelNodeSetParams_v2:
      out_.value(handle(HandleKind::kCUgraphNode));
      launch_fields(false);
      return true;
    case Op::cuGraphAddHostNode:
      new_node();
      out_.value(small());
      return true;
    case Op::cuGraphExecHostNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphExec));
      [[fallthrough]];
    case Op::cuGraphHostNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphNode));
      out_.value(small());
      return true;
    case Op::cuGraphAddBatchMemOpNode:
      new_node();
      break;
    case Op::cuGraphExecBatchMemOpNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphExec));
      [[fallthrough]];
    case Op::cuGraphBatchMemOpNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphNode));
      break;
    case Op::cuGraphAddMemAllocNode: {
      new_node();
      bytes(sizeof(CUDA_MEM_ALLOC_NODE_PARAMS));
      const uint64_t count = small();
      out_.count(count);
      bytes(count * sizeof(CUmemAccessDesc));
      return true;
    }
    case Op::cuGraphAddNode:
      new_node();
      out_.value(number());
      out_.value<uint32_t>(in_.byte() % 4);
      out_.value<uint32_t>(in_.byte() < 240 ? in_.byte() % 4 : static_cast<uint32_t>(number()));
      out_.value(handle(HandleKind::kCUcontext));
      return true;
    case Op::cuGraphKernelNodeGetParams_v2:
    case Op::cuGraphHostNodeGetParams:
    case Op::cuGraphMemcpyNodeGetParams:
    case Op::cuGraphBatchMemOpNodeGetParams:
    case Op::cuGraphMemAllocNodeGetParams:
      out_.value(handle(HandleKind::kCUgraphNode));
      return true;
    case Op::cuStreamGetCaptureInfo_v3:
      out_.value(handle(HandleKind::kCUstream));
      return true;
    default:
      return false;
  }
  out_.value(handle(HandleKind::kCUcontext));
  const uint64_t count = small();
  out_.count(count);
  bytes(count * sizeof(CUstreamBatchMemOpParams));
  out_.value<uint32_t>(in_.byte());
  return true;
}

bool Composer::by_hand(uint16_t op) {
  switch (static_cast<Op>(op)) {
    case Op::cuStreamCreateWithPriority:
      out_.value(new_handle(HandleKind::kCUstream));
      out_.value<uint32_t>(in_.byte() % 4);
      out_.value<int32_t>(0);
      return true;
    case Op::cuEventCreate:
      out_.value(new_handle(HandleKind::kCUevent));
      out_.value<uint32_t>(in_.byte() % 8);
      return true;
    case Op::cuCtxCreate_v2:
      out_.value<uint64_t>(1);
      out_.value<uint32_t>(in_.byte());
      out_.value<int32_t>(in_.byte() % 3);
      return true;
    default:
      return code(op) || copies(op) || launches(op) || graphs(op);
  }
}

void Composer::finish(std::vector<std::byte>& stream, uint16_t op, uint16_t thread) {
  const MessageHeader header{static_cast<uint32_t>(sizeof header + fields_.size()), op, thread};
  const ByteSpan head = std::as_bytes(std::span(&header, 1));
  stream.insert(stream.end(), head.begin(), head.end());
  stream.insert(stream.end(), fields_.begin(), fields_.end());
  stream.insert(stream.end(), payload_.begin(), payload_.end());
  fields_.clear();
  payload_.clear();
}

void Composer::hello(std::vector<std::byte>& stream) {
  out_.value(kCallsDigest);
  out_.value<uint32_t>(0);
  out_.value<uint64_t>(first_number(0));
  out_.value<uint64_t>(0);
  for (size_t i = 0; i < std::size(kDriverSettings); ++i) out_.text(nullptr);
  finish(stream, static_cast<uint16_t>(Message::kHello), kAnswerWanted);
}

void Composer::next(std::vector<std::byte>& stream) {
  const uint8_t how = in_.byte();
  const auto choice = static_cast<uint16_t>(in_.word(2));
  auto thread = static_cast<uint16_t>((how & 3) | ((how & 4) != 0 ? kPerThreadDefault : 0) |
                                      ((how & 8) != 0 ? 0 : kAnswerWanted));
  uint16_t op = choice;
  if (how >= 0xf0) {  // anything
    thread = static_cast<uint16_t>(in_.word(2));
    bytes(in_.byte());
  } else if (how < 0x50) {
    op = static_cast<uint16_t>(kFirstOwnMessage + choice % kOwnMessages);
    if (op == static_cast<uint16_t>(Message::kGoodbye) && choice < 0xff00)
      op = static_cast<uint16_t>(Message::kCollect);
    own_message(op);
  } else {
    op = static_cast<uint16_t>(choice % kCalls);
    if (!by_hand(op)) generated(op);
    if (how >= 0xe0) fields_.resize(fields_.size() / 16 * 8);  // cut off
  }
  finish(stream, op, thread);
}

}  // namespace tessera::remote::fuzz
