// The JIT linker.
#include "cuda/abi.h"
#include "softgpu/device/model.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/linker.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

template <typename Body>
CUresult with_linker(CUlinkState state, unsigned count, const CUjit_option* options, void** values,
                     Body&& body) {
  return initialised([&]() -> CUresult {
    auto linker = live<Linker>().find(state);
    if (!linker) return CUDA_ERROR_INVALID_HANDLE;
    JitLog unused;  // the logs are the linker's, not an input's
    SOFTGPU_RETURN_IF_ERROR(JitLog::from_options(count, options, values, &unused));
    return body(*linker);
  });
}

}  // namespace

extern "C" {

CUresult cuLinkCreate_v2(unsigned int numOptions, CUjit_option* options, void** optionValues,
                         CUlinkState* stateOut) {
  return in_context([&](Context& context) -> CUresult {
    if (stateOut == nullptr) return CUDA_ERROR_INVALID_VALUE;
    JitLog log;
    SOFTGPU_RETURN_IF_ERROR(JitLog::from_options(numOptions, options, optionValues, &log));
    const DeviceModel& model = context.device().model();
    auto linker =
        std::make_shared<Linker>(log, static_cast<uint32_t>(model.compute_major * 10 + model.compute_minor));
    *stateOut = linker->handle();
    live<Linker>().add(reinterpret_cast<uintptr_t>(*stateOut), std::move(linker));
    return CUDA_SUCCESS;
  });
}

CUresult cuLinkAddData_v2(CUlinkState state, CUjitInputType type, void* data, size_t size, const char* name,
                          unsigned int numOptions, CUjit_option* options, void** optionValues) {
  return with_linker(state, numOptions, options, optionValues, [&](Linker& linker) -> CUresult {
    if (data == nullptr || size == 0) return CUDA_ERROR_INVALID_VALUE;
    return linker.add(type, {static_cast<const std::byte*>(data), size}, name != nullptr ? name : "input");
  });
}

CUresult cuLinkAddFile_v2(CUlinkState state, CUjitInputType type, const char* path, unsigned int numOptions,
                          CUjit_option* options, void** optionValues) {
  return with_linker(state, numOptions, options, optionValues, [&](Linker& linker) -> CUresult {
    return path != nullptr ? linker.add_file(type, path) : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuLinkComplete(CUlinkState state, void** cubinOut, size_t* sizeOut) {
  return with_linker(state, 0, nullptr, nullptr, [&](Linker& linker) -> CUresult {
    size_t size = 0;
    return cubinOut != nullptr ? linker.complete(cubinOut, sizeOut != nullptr ? sizeOut : &size)
                               : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuLinkDestroy(CUlinkState state) {
  return initialised(
      [&]() -> CUresult { return live<Linker>().remove(state) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE; });
}

// The forms of CUDA 5.5, which differ in name alone on 64-bit machines.
CUresult cuLinkCreate(unsigned int numOptions, CUjit_option* options, void** optionValues,
                      CUlinkState* stateOut) {
  return cuLinkCreate_v2(numOptions, options, optionValues, stateOut);
}
CUresult cuLinkAddData(CUlinkState state, CUjitInputType type, void* data, size_t size, const char* name,
                       unsigned int numOptions, CUjit_option* options, void** optionValues) {
  return cuLinkAddData_v2(state, type, data, size, name, numOptions, options, optionValues);
}
CUresult cuLinkAddFile(CUlinkState state, CUjitInputType type, const char* path, unsigned int numOptions,
                       CUjit_option* options, void** optionValues) {
  return cuLinkAddFile_v2(state, type, path, numOptions, options, optionValues);
}

}  // extern "C"
