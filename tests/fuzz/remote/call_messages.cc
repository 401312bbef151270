// Calls with fields of their own: code, memory, copies.
#include <string>

#include "cache/content_cache.h"
#include "cuda/abi.h"
#include "remote/wire/handle_id.h"
#include "tests/fuzz/remote/composer.h"

namespace tessera::remote::fuzz {
namespace {

const char kPtx[] = ".version 6.3\n.target sm_70\n.address_size 64\n.visible .entry k() { ret; }\n";

}  // namespace

void Composer::jit_options(uint64_t count) {
  out_.count(count);
  std::vector<uint32_t> names(count);
  for (uint32_t& name : names) {
    const uint8_t how = byte();
    name = how < 144 ? how % 8 : how % 36;
  }
  out_.raw(names.data(), names.size() * 4);
  out_.count(count);
  for (uint64_t i = 0; i < count; ++i) out_.value(number());
}

void Composer::image_fields() {
  const bool is_text = byte() < 192;
  const uint64_t size = is_text ? sizeof kPtx : byte();
  out_.value<uint32_t>(is_text ? 0 : byte() % 4);
  const uint64_t sizes[] = {size, size};
  const uint64_t count = is_text ? 1 : byte() % 3;
  out_.array(sizes, count);
  jit_options(byte() % 5);
  if (is_text) {
    const size_t at = payload_.size();
    payload_.resize(at + padded(sizeof kPtx));
    memcpy(payload_.data() + at, kPtx, sizeof kPtx);
  } else {
    payload(size * count);
  }
}

// What a message before has named, which comes or does not.
void Composer::load_what_is_named(std::vector<std::byte>& stream) {
  const bool follows = *named_;
  named_.reset();
  const uint64_t size = image().size();
  out_.value<uint32_t>(0);
  out_.array(&size, 1);
  out_.count(0);
  out_.count(0);
  if (follows) payload_.assign(image().begin(), image().end());
  finish(stream, static_cast<uint16_t>(Op::cuModuleLoadDataEx), kAnswerWanted);
}

ByteSpan Composer::image() {
  static const std::string* const text = [] {
    auto* made = new std::string(kPtx);
    made->resize(cache::ContentCache::kLeastBlobBytes, ' ');
    made->back() = '\0';
    return made;
  }();
  return std::as_bytes(std::span(*text));
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
      out_.value(handle(byte() % 2 == 0 ? HandleKind::kCUfunction : HandleKind::kCUkernel));
      return true;
    case Op::cuLinkCreate_v2:
      out_.value(byte() < 224 ? 16 * small() : number());
      out_.value(byte() < 224 ? 16 * small() : number());
      jit_options(byte() % 4);
      return true;
    case Op::cuLinkAddData_v2: {
      const uint64_t size = byte() < 240 ? byte() : number();
      out_.value(handle(HandleKind::kCUlinkState));
      out_.value<uint32_t>(byte() % 8);
      out_.value(size);
      out_.text(byte() % 2 == 0 ? "a name" : nullptr);
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

// Where both sides have it, more often than not.
void Composer::box() {
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = static_cast<CUmemorytype>(byte() % 5);
  copy.dstMemoryType = static_cast<CUmemorytype>(byte() % 5);
  copy.WidthInBytes = byte() < 240 ? byte() : number();
  copy.Height = byte() < 240 ? 1 + byte() % 8 : number();
  copy.Depth = byte() < 240 ? 1 + byte() % 4 : number();
  copy.srcPitch = copy.WidthInBytes + small();
  copy.dstPitch = copy.WidthInBytes + small();
  copy.srcHeight = copy.Height + small();
  copy.dstHeight = copy.Height;
  if (byte() >= 224) copy.srcPitch = number();
  if (byte() >= 224) copy.dstHeight = number();
  if (byte() >= 224) copy.srcXInBytes = number();
  if (byte() >= 224) copy.dstZ = number();
  copy.srcHost = reinterpret_cast<const void*>(program_address());
  copy.dstHost = reinterpret_cast<void*>(program_address());
  copy.srcArray = (CUarray)handle(HandleKind::kCUarray);
  copy.dstArray = (CUarray)handle(HandleKind::kCUarray);
  copy.srcDevice = number();
  copy.dstDevice = number();
  out_.value(copy);
}

bool Composer::copies(uint16_t op) {
  switch (static_cast<Op>(op)) {
    case Op::cuMemcpy3DAsync_v2:
      box();
      out_.value(handle(HandleKind::kCUstream));
      return true;
    case Op::cuMemcpyHtoDAsync_v2:
    case Op::cuMemcpyDtoHAsync_v2: {
      MirroredCopyFields fields{number(), program_address(), byte(), handle(HandleKind::kCUstream), small()};
      if (byte() >= 240) fields.bytes = number();
      out_.value(fields);
      return true;
    }
    case Op::cuGraphAddMemcpyNode:
      new_node();
      box();
      out_.value(handle(HandleKind::kCUcontext));
      return true;
    case Op::cuGraphExecMemcpyNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphExec));
      [[fallthrough]];
    case Op::cuGraphMemcpyNodeSetParams:
      out_.value(handle(HandleKind::kCUgraphNode));
      box();
      out_.value(handle(HandleKind::kCUcontext));
      return true;
    case Op::cuMemAllocManaged: {
      out_.value(byte() < 224 ? uint64_t{byte()} * 64 : number());
      out_.value<uint32_t>(byte() % 4);
      const uint64_t taken = small();
      out_.count(taken);
      for (uint64_t i = 0; i < 2 * taken; ++i) out_.value(byte() < 64 ? number() : device_address());
      return true;
    }
    case Op::cuPointerGetAttributes: {
      const uint64_t count = byte() < 240 ? byte() % 5 : byte();
      out_.count(count);
      std::vector<uint32_t> attributes(count);
      for (uint32_t& attribute : attributes) attribute = byte() % 24;
      out_.raw(attributes.data(), attributes.size() * 4);
      out_.value(device_address());
      return true;
    }
    case Op::cuPointerGetAttribute:
      out_.value<uint32_t>(byte() % 24);
      out_.value(device_address());
      return true;
    default:
      return false;
  }
}

// What a device has.
bool Composer::memory(uint16_t op) {
  const auto size = [&] { return byte() < 224 ? 1 + in_->word(2) : number(); };
  switch (static_cast<Op>(op)) {
    case Op::cuMemAlloc_v2:
    case Op::cuMemAllocAsync:
    case Op::cuMemAllocFromPoolAsync:
      out_.value<uint64_t>(byte() < 224 ? 1 : 0);
      out_.value(size());
      if (op == static_cast<uint16_t>(Op::cuMemAllocFromPoolAsync))
        out_.value(handle(HandleKind::kCUmemoryPool));
      if (op != static_cast<uint16_t>(Op::cuMemAlloc_v2)) out_.value(handle(HandleKind::kCUstream));
      return true;
    case Op::cuMemAllocPitch_v2:
      out_.value<uint64_t>(1);
      out_.value<uint64_t>(byte() < 224 ? 1 : 0);
      out_.value(size());
      out_.value(byte() < 224 ? 1 + small() : number());
      out_.value<uint32_t>(4 << byte() % 4);
      return true;
    case Op::cuMemFree_v2:
      out_.value(device_address());
      return true;
    case Op::cuMemFreeAsync:
      out_.value(device_address());
      out_.value(handle(HandleKind::kCUstream));
      return true;
    case Op::cuMemGetAddressRange_v2:
      out_.value<uint64_t>(byte() < 224 ? 1 : 0);
      out_.value<uint64_t>(byte() < 224 ? 1 : 0);
      out_.value(device_address());
      return true;
    default:
      return false;
  }
}

}  // namespace tessera::remote::fuzz
