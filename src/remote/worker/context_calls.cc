// Contexts, waiting, and what a client asks for when it begins.
#include <cstdlib>
#include <cstring>
#include <iterator>

#include "common/clock.h"
#include "remote/wire/regions.h"
#include "remote/worker/own_calls.h"
#include "remote/worker/worker.h"

namespace tessera::remote {
namespace {

constexpr uint32_t kMostDevices = 256;

void describe(Serving& s, CUdevice device) {
  char name[257] = {};  // ends with a zero, whatever the driver does
  CUuuid uuid{};
  size_t total = 0;
  std::vector<int> attributes(CU_DEVICE_ATTRIBUTE_MAX);
  (void)s.table.cuDeviceGetName(name, sizeof name - 1, device);
  if (s.table.cuDeviceGetUuid_v2 != nullptr) (void)s.table.cuDeviceGetUuid_v2(&uuid, device);
  (void)s.table.cuDeviceTotalMem_v2(&total, device);
  std::vector<uint8_t> known(attributes.size());
  for (size_t i = 1; i < attributes.size(); ++i) {
    known[i] = s.table.cuDeviceGetAttribute(&attributes[i], static_cast<CUdevice_attribute>(i), device) ==
               CUDA_SUCCESS;
  }
  s.out.text(name);
  s.out.value(uuid);
  s.out.value<uint64_t>(total);
  s.out.array(attributes.data(), attributes.size());
  s.out.array(known.data(), known.size());
}

// The first message: starts the driver. Answers with what never changes.
CUresult hello(Serving& s) {
  const auto calls = s.in.value<uint64_t>();
  const auto flags = s.in.value<uint32_t>();
  const auto first = s.in.value<uint64_t>();   // number of handles that we give
  const auto region = s.in.value<uint64_t>();  // of memory that we place; 0: the driver does
  const char* settings[std::size(kDriverSettings)];
  for (const char*& text : settings) text = s.in.text();
  if (!s.in.whole()) return s.malformed();
  // Another build's messages would be taken for others: nothing after this could be trusted.
  if (calls != kCallsDigest) return CUDA_ERROR_SYSTEM_DRIVER_MISMATCH;
  if (first == 0 || first >= first_number(kMostServers) || (region != 0 && !is_region(region)))
    return s.malformed();
  // What the program has set for the driver; nothing else of its environment is for us.
  for (size_t i = 0; i < std::size(settings); ++i) {
    if (settings[i] != nullptr && strnlen(settings[i], 4097) <= 4096)
      setenv(kDriverSettings[i], settings[i], 1);
  }
  s.handles.begin_at(first);
  s.worker.placed().begin(region);
  if (s.table.cuInit == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  const CUresult result = s.table.cuInit(flags);
  if (result != CUDA_SUCCESS) return result;
  int version = 0, devices = 0;
  (void)s.table.cuDriverGetVersion(&version);
  const CUresult counted = s.table.cuDeviceGetCount(&devices);
  if (counted != CUDA_SUCCESS) return counted;
  if (static_cast<uint32_t>(devices) > kMostDevices) devices = kMostDevices;
  std::vector<uint8_t> entries(cuda::kDriverEntriesCount);
  for (size_t i = 0; i < entries.size(); ++i) {
    entries[i] = reinterpret_cast<void* const*>(&s.table)[i] != nullptr;
  }
  s.out.value(version);
  s.out.array(entries.data(), entries.size());
  s.out.value<uint32_t>(devices);
  for (CUdevice device = 0; device < devices; ++device) describe(s, device);
  s.out.value<uint32_t>(s.worker.keeps_content() ? 1 : 0);
  s.out.value<uint32_t>(s.worker.link().area_in() != nullptr ? 1 : 0);
  return CUDA_SUCCESS;
}

CUresult use_context(Serving& s) {
  const auto context = s.handle<CUcontext>(HandleKind::kCUcontext, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  s.worker.set_current(*s.thread, context);
  return CUDA_SUCCESS;
}

// The current contexts of threads are the client's matter; here each call finds the one it needs.
template <typename Create>
CUresult create_context(Serving& s, Create create) {
  CUcontext context = nullptr, popped = nullptr;
  const CUresult result = create(&context);
  if (result == CUDA_SUCCESS) (void)s.table.cuCtxPopCurrent_v2(&popped);
  s.worker.forget_current();
  s.give_handles(HandleKind::kCUcontext, &context, 1, 0);
  return result;
}

CUresult ctx_create(Serving& s) {
  (void)s.in.wanted();
  const auto flags = s.in.value<unsigned int>();
  const auto device = s.in.value<CUdevice>();
  if (!s.in.whole()) return s.malformed();
  return create_context(s,
                        [&](CUcontext* context) { return s.table.cuCtxCreate_v2(context, flags, device); });
}

CUresult ctx_destroy(Serving& s) {
  const auto id = s.in.value<uint64_t>();
  const auto context = s.handle<CUcontext>(HandleKind::kCUcontext, id);
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  s.may_wait();
  s.worker.forget_current();
  const CUresult result = s.table.cuCtxDestroy_v2(context);
  if (result == CUDA_SUCCESS) {
    s.worker.context_is_gone(context);
    s.worker.mirrors().forget_gone_managed();
    s.handles.forget(id);
  }
  return result;
}

// A device's primary context, neither retained nor made current: as the runtime asks for it
// (cuda/runtime_tables.h), by the driver's own table. Retaining it for a moment would end it for threads that
// are about to use it.
CUresult primary_context(Serving& s) {
  static constexpr CUuuid kRuntimeTable = {{0x6b, static_cast<char>(0xd5), static_cast<char>(0xfb), 0x6c,
                                            0x5b, static_cast<char>(0xf4), static_cast<char>(0xe7), 0x4a,
                                            static_cast<char>(0x89), static_cast<char>(0x87),
                                            static_cast<char>(0xd9), 0x39, 0x12, static_cast<char>(0xfd),
                                            static_cast<char>(0x9d), static_cast<char>(0xf9)}};
  const auto device = s.in.value<CUdevice>();
  if (!s.in.whole()) return s.malformed();
  const void* table = nullptr;
  if (s.table.cuGetExportTable == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  CUresult result = s.table.cuGetExportTable(&table, &kRuntimeTable);
  if (result != CUDA_SUCCESS || table == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  using Find = CUresult (*)(CUcontext*, CUdevice);
  CUcontext context = nullptr;
  result = reinterpret_cast<Find>(static_cast<void* const*>(table)[2])(&context, device);
  if (result == CUDA_SUCCESS) s.out.value(s.id_of(HandleKind::kCUcontext, (uint64_t)context, 0));
  return result;
}

CUresult primary_reset(Serving& s) {
  const auto device = s.in.value<CUdevice>();
  if (!s.in.whole()) return s.malformed();
  s.worker.forget_current();
  const CUresult result = s.table.cuDevicePrimaryCtxReset_v2(device);
  // Whichever contexts were the device's: their streams are not to be used again.
  if (result == CUDA_SUCCESS) {
    s.worker.context_was_reset(s.thread->current);
    s.worker.mirrors().forget_gone_managed();
  }
  return result;
}

// The last release is the context's end.
CUresult primary_release(Serving& s) {
  const CUresult result = kServes[static_cast<size_t>(Op::cuDevicePrimaryCtxRelease_v2)](s);
  if (result == CUDA_SUCCESS) s.worker.mirrors().forget_gone_managed();
  return result;
}

// What may take as long as the GPU's work. Others lead meanwhile unless it is over already.
template <typename Query, typename Wait>
CUresult wait_with(Serving& s, Query is_done, Wait wait) {
  // Most waits are short: handing over wakes a thread, which takes longer than they do.
  constexpr uint64_t kShortNs = 50'000;
  const uint64_t until = monotonic_ns() + kShortNs;
  bool is_over = is_done();
  while (!is_over && monotonic_ns() < until) is_over = is_done();
  if (!is_over) s.worker.let_others_lead();
  const CUresult result = wait();
  s.worker.bring_host_changes();
  return result;
}

CUresult ctx_synchronize(Serving& s) {
  if (!s.in.whole()) return s.malformed();
  // Others may give more while this waits. How far a context is cannot be asked, so nobody spins for it.
  const uint64_t work = s.worker.work_so_far();
  if (!s.worker.is_quiet()) s.worker.let_others_lead();
  const CUresult result = s.table.cuCtxSynchronize();
  if (result == CUDA_SUCCESS) s.worker.note_done(work);
  s.worker.bring_host_changes();
  return result;
}

CUresult stream_synchronize(Serving& s) {
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  return wait_with(
      s, [&] { return s.worker.is_quiet() || s.table.cuStreamQuery(stream) == CUDA_SUCCESS; },
      [&] { return s.table.cuStreamSynchronize(stream); });
}

CUresult event_synchronize(Serving& s) {
  const auto event = s.handle<CUevent>(HandleKind::kCUevent, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  return wait_with(
      s, [&] { return s.table.cuEventQuery(event) == CUDA_SUCCESS; },
      [&] { return s.table.cuEventSynchronize(event); });
}

// What kernels print comes with waits, as CUDA says; to look for it would be most of what a query costs.
template <Op kOp>
CUresult queried(Serving& s) {
  const CUresult result = kServes[static_cast<size_t>(kOp)](s);
  if (result == CUDA_SUCCESS) s.worker.bring_host_memory();
  return result;
}

// Streams and events come with the client's own ids.
CUresult stream_create(Serving& s) {
  const auto id = s.in.value<uint64_t>();
  const auto flags = s.in.value<unsigned int>();
  const auto priority = s.in.value<int>();
  if (!s.in.whole() || kind_of(id) != HandleKind::kCUstream) return s.malformed();
  CUstream stream = nullptr;
  const CUresult result = s.table.cuStreamCreateWithPriority(&stream, flags, priority);
  if (result == CUDA_SUCCESS && !s.handles.bind(id, (uint64_t)stream, 0)) return s.malformed();
  return result;
}

CUresult event_create(Serving& s) {
  const auto id = s.in.value<uint64_t>();
  const auto flags = s.in.value<unsigned int>();
  if (!s.in.whole() || kind_of(id) != HandleKind::kCUevent) return s.malformed();
  CUevent event = nullptr;
  const CUresult result = s.table.cuEventCreate(&event, flags);
  if (result == CUDA_SUCCESS && !s.handles.bind(id, (uint64_t)event, 0)) return s.malformed();
  return result;
}

}  // namespace

std::span<const OwnCall> context_calls() {
  static constexpr OwnCall kCallsHere[] = {
      own(Message::kHello, hello),
      own(Message::kUseContext, use_context),
      own(Op::cuCtxCreate_v2, ctx_create),
      own(Op::cuCtxDestroy_v2, ctx_destroy),
      own(Op::cuDevicePrimaryCtxReset_v2, primary_reset),
      own(Op::cuDevicePrimaryCtxRelease_v2, primary_release),
      own(Message::kPrimaryContext, primary_context),
      own(Op::cuCtxSynchronize, ctx_synchronize),
      own(Op::cuStreamSynchronize, stream_synchronize),
      own(Op::cuEventSynchronize, event_synchronize),
      own(Op::cuStreamQuery, queried<Op::cuStreamQuery>),
      own(Op::cuEventQuery, queried<Op::cuEventQuery>),
      own(Op::cuStreamCreateWithPriority, stream_create),
      own(Op::cuEventCreate, event_create),
  };
  return kCallsHere;
}

}  // namespace tessera::remote
