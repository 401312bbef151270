#include "remote/client/journal.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>

#include "remote/ops.h"
#include "remote/wire/copy.h"
#include "remote/wire/handle_id.h"

namespace tessera::remote {
namespace {

constexpr size_t kHead = sizeof(MessageHeader);

uint64_t word_at(ByteSpan bytes, size_t at) {
  uint64_t word = 0;
  if (at + sizeof word <= bytes.size()) memcpy(&word, bytes.data() + at, sizeof word);
  return word;
}

constexpr Op kMaking[] = {Op::cuDevicePrimaryCtxRetain,
                          Op::cuCtxCreate_v2,
                          Op::cuModuleLoadDataEx,
                          Op::cuLibraryLoadData,
                          Op::cuModuleGetFunction,
                          Op::cuLibraryGetKernel,
                          Op::cuKernelGetFunction,
                          Op::cuLibraryGetModule,
                          Op::cuStreamCreateWithPriority,
                          Op::cuEventCreate,
                          Op::cuMemAlloc_v2,
                          Op::cuMemAllocPitch_v2,
                          Op::cuMemAllocAsync,
                          Op::cuMemAllocFromPoolAsync,
                          Op::cuDeviceGetDefaultMemPool,
                          Op::cuDeviceGetMemPool,
                          Op::cuFuncGetModule,
                          Op::cuKernelGetLibrary};
constexpr Op kEnding[] = {
    Op::cuDevicePrimaryCtxRelease_v2, Op::cuCtxDestroy_v2,   Op::cuModuleUnload, Op::cuLibraryUnload,
    Op::cuStreamDestroy_v2,           Op::cuEventDestroy_v2, Op::cuMemFree_v2,   Op::cuMemFreeAsync};
constexpr Op kSetting[] = {Op::cuFuncSetAttribute,
                           Op::cuKernelSetAttribute,
                           Op::cuFuncSetCacheConfig,
                           Op::cuKernelSetCacheConfig,
                           Op::cuFuncSetSharedMemConfig,
                           Op::cuCtxSetLimit,
                           Op::cuCtxSetCacheConfig,
                           Op::cuCtxSetSharedMemConfig,
                           Op::cuCtxSetFlags,
                           Op::cuDevicePrimaryCtxSetFlags_v2,
                           Op::cuCtxEnablePeerAccess,
                           Op::cuCtxDisablePeerAccess,
                           Op::cuStreamSetAttribute,
                           Op::cuMemPoolSetAttribute,
                           Op::cuModuleGetGlobal_v2,
                           Op::cuModuleGetGlobal,
                           Op::cuLibraryGetGlobal,
                           Op::cuFuncLoad};
constexpr Op kWorking[] = {
    Op::cuLaunchKernel,         Op::cuLaunchKernelEx,   Op::cuLaunchCooperativeKernel, Op::cuMemcpyDtoD_v2,
    Op::cuMemcpyDtoDAsync_v2,   Op::cuMemcpyPeer,       Op::cuMemcpyPeerAsync,         Op::cuMemsetD8_v2,
    Op::cuMemsetD16_v2,         Op::cuMemsetD32_v2,     Op::cuMemsetD8Async,           Op::cuMemsetD16Async,
    Op::cuMemsetD32Async,       Op::cuMemsetD2D8_v2,    Op::cuMemsetD2D16_v2,          Op::cuMemsetD2D32_v2,
    Op::cuMemsetD2D8Async,      Op::cuMemsetD2D16Async, Op::cuMemsetD2D32Async,        Op::cuEventRecord,
    Op::cuEventRecordWithFlags, Op::cuStreamWaitEvent};
// Calls about such make or change what cannot be made again yet, whatever they are called.
constexpr std::string_view kNotFollowed[] = {
    "Graph",   "Array",  "Tex",      "Surf",      "Ipc",        "Capture",    "Managed",    "Link",
    "Address", "MemMap", "External", "Multicast", "UserObject", "PoolImport", "PoolExport", "PointerSet"};
constexpr std::string_view kAsking[] = {"Get",
                                        "Query",
                                        "Occupancy",
                                        "Can",
                                        "Synchronize",
                                        "Profiler",
                                        "ElapsedTime",
                                        "PoolTrim",
                                        "Prefetch",
                                        "Advise",
                                        "ExchangeStreamCaptureMode"};

template <size_t kCount>
bool has_any(std::string_view name, const std::string_view (&parts)[kCount]) {
  return std::any_of(std::begin(parts), std::end(parts),
                     [&](std::string_view part) { return name.find(part) != std::string_view::npos; });
}

std::array<JournalRole, kCalls> make_roles() {
  std::array<JournalRole, kCalls> roles;
  for (size_t op = 0; op < kCalls; ++op) {
    const std::string_view name = kCallNames[op];
    const bool is_asking = has_any(name, kAsking);
    const bool is_followed = !has_any(name, kNotFollowed) || name == "cuMemGetAddressRange_v2" ||
                             name == "cuThreadExchangeStreamCaptureMode" || name == "cuStreamIsCapturing";
    roles[op] = is_asking && is_followed ? JournalRole::kAsks : JournalRole::kUnknown;
  }
  for (const Op op : kMaking) roles[static_cast<size_t>(op)] = JournalRole::kMakes;
  for (const Op op : kEnding) roles[static_cast<size_t>(op)] = JournalRole::kEnds;
  for (const Op op : kSetting) roles[static_cast<size_t>(op)] = JournalRole::kSets;
  for (const Op op : kWorking) roles[static_cast<size_t>(op)] = JournalRole::kWorks;
  roles[static_cast<size_t>(Op::cuStreamIsCapturing)] = JournalRole::kAsks;
  return roles;
}

JournalRole own_role(Message message, ByteSpan bytes) {
  switch (message) {
    case Message::kHello:
    case Message::kCopyOut:
    case Message::kCollect:
    case Message::kGoodbye:
      return JournalRole::kAsks;
    case Message::kCopyIn:
      return JournalRole::kWorks;
    case Message::kCopyBox:
      return (word_at(bytes, kHead) & kBoxToClient) != 0 ? JournalRole::kAsks : JournalRole::kWorks;
    case Message::kPrimaryContext:
    case Message::kFunctionInfo:
      return JournalRole::kSets;
    case Message::kHostAdd:
      return JournalRole::kMakes;
    case Message::kHostRemove:
      return JournalRole::kEnds;
    default:
      return JournalRole::kUnknown;
  }
}

// Keys that are neither ids nor addresses: devices whose primary context is held, and memory of the program.
constexpr uint64_t kDeviceKey = uint64_t{1} << 63, kHostKey = uint64_t{1} << 62;

bool is_allocation(uint16_t op) {
  const auto call = static_cast<Op>(op);
  return call == Op::cuMemAlloc_v2 || call == Op::cuMemAllocPitch_v2 || call == Op::cuMemAllocAsync ||
         call == Op::cuMemAllocFromPoolAsync;
}

// In PTX a variable's directive stands behind a blank, an instruction's state space behind a letter. What is
// compressed may hold anything.
bool may_have_variables(ByteSpan code) {
  const std::string_view text(reinterpret_cast<const char*>(code.data()), code.size());
  if (text.find(".version") == std::string_view::npos) return true;
  for (const std::string_view mark : {".global", ".const"}) {
    for (size_t at = text.find(mark); at != std::string_view::npos; at = text.find(mark, at + 1)) {
      const char before = at == 0 ? '\n' : text[at - 1];
      const char after = at + mark.size() < text.size() ? text[at + mark.size()] : '\0';
      const bool is_directive = (before == ' ' || before == '\t' || before == '\n' || before == '\r' ||
                                 before == ';' || before == '}') &&
                                (after == ' ' || after == '\t');
      if (is_directive) return true;
    }
  }
  return text.find("malloc") != std::string_view::npos || text.find(".nv.global") != std::string_view::npos;
}

// Whether the entry names an id that is not among those that live.
bool names_the_dead(const JournalEntry& entry, const std::set<uint64_t>& dead) {
  for (size_t at = kHead; at + 8 <= entry.message.size(); at += 8) {
    const uint64_t word = word_at(entry.message, at);
    if (is_handle_id(word) && dead.contains(word)) return true;
  }
  return dead.contains(entry.context);
}

}  // namespace

JournalRole journal_role(uint16_t op, ByteSpan message) {
  static const auto* roles = new std::array<JournalRole, kCalls>(make_roles());
  return op < kCalls ? (*roles)[op] : own_role(static_cast<Message>(op), message);
}

uint16_t JournalEntry::op() const {
  MessageHeader header;
  memcpy(&header, message.data(), sizeof header);
  return header.op;
}

uint64_t JournalEntry::key() const {
  const uint16_t number = op();
  const uint64_t first = word_at(message, kHead);
  if (number == static_cast<uint16_t>(Message::kHostAdd) ||
      number == static_cast<uint16_t>(Message::kHostRemove))
    return kHostKey | first;
  switch (static_cast<Op>(number)) {
    case Op::cuDevicePrimaryCtxRetain:  // wanted, device
      return kDeviceKey | (word_at(message, kHead + 8) & 0xffffffff);
    case Op::cuDevicePrimaryCtxRelease_v2:
      return kDeviceKey | (first & 0xffffffff);
    case Op::cuStreamCreateWithPriority:
    case Op::cuEventCreate:
      return first;
    case Op::cuModuleGetFunction:
    case Op::cuLibraryGetKernel:
      return word_at(answer, 0);
    default:
      return role == JournalRole::kEnds ? first : word_at(answer, 8);  // an array of one
  }
}

std::optional<JournalBlock> journal_block(const JournalEntry& entry) {
  const uint16_t op = entry.op();
  if (entry.role != JournalRole::kMakes || !is_allocation(op)) return std::nullopt;
  JournalBlock block{word_at(entry.answer, 8), word_at(entry.message, kHead + 8), entry.context};
  // wanted, wanted, width, height; the answer's second array is the pitch
  if (static_cast<Op>(op) == Op::cuMemAllocPitch_v2)
    block.bytes = word_at(entry.answer, 24) * word_at(entry.message, kHead + 24);
  return block;
}

void Journal::add(uint64_t number, JournalEntry entry) {
  bytes_ += entry.bytes();
  recent_.emplace(number, std::move(entry));
}

// What makes what there is now, and sets it, in order.
std::vector<const JournalEntry*> Journal::living() const {
  std::vector<const JournalEntry*> all;
  for (const JournalEntry& entry : made_) all.push_back(&entry);
  for (const auto& [number, entry] : recent_)
    if (entry.role != JournalRole::kWorks) all.push_back(&entry);
  std::map<uint64_t, std::vector<size_t>> makers;  // what is made twice ends twice
  std::vector<bool> is_gone(all.size());
  std::set<uint64_t> dead;
  for (size_t i = 0; i < all.size(); ++i) {
    const uint64_t key = all[i]->key();
    if (all[i]->role == JournalRole::kMakes) makers[key].push_back(i);
    if (all[i]->role != JournalRole::kEnds) continue;
    is_gone[i] = true;
    auto found = makers.find(key);
    if (found == makers.end() || found->second.empty()) continue;
    is_gone[found->second.back()] = true;
    found->second.pop_back();
    if (is_handle_id(key)) dead.insert(key);
  }
  std::vector<const JournalEntry*> left;
  for (size_t i = 0; i < all.size(); ++i) {
    if (is_gone[i]) continue;
    if (names_the_dead(*all[i], dead)) {
      if (all[i]->role == JournalRole::kMakes) dead.insert(all[i]->key());
      continue;
    }
    left.push_back(all[i]);
  }
  return left;
}

std::vector<JournalBlock> Journal::blocks() const {
  std::vector<JournalBlock> blocks;
  for (const JournalEntry* entry : living())
    if (const auto block = journal_block(*entry)) blocks.push_back(*block);
  return blocks;
}

bool Journal::has_variables() const {
  const std::vector<const JournalEntry*> all = living();
  return std::any_of(all.begin(), all.end(), [](const JournalEntry* entry) {
    const auto op = static_cast<Op>(entry->op());
    return (op == Op::cuModuleLoadDataEx || op == Op::cuLibraryLoadData) &&
           may_have_variables(entry->payload);
  });
}

void Journal::checkpoint(std::map<uint64_t, std::vector<std::byte>> content) {
  std::vector<JournalEntry> made;
  for (const JournalEntry* entry : living()) made.push_back(*entry);
  made_ = std::move(made);
  content_ = std::move(content);
  recent_.clear();
  bytes_ = 0;
}

}  // namespace tessera::remote
