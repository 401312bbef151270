#include "remote/worker/functions.h"

namespace tessera::remote {

const FunctionInfo* Functions::info(uint64_t id) const {
  auto found = infos_.find(id);
  return found == infos_.end() ? nullptr : &found->second;
}

const FunctionInfo* Functions::learn(uint64_t id, void* handle, bool is_kernel) {
  if (const FunctionInfo* known = info(id)) return known;
  FunctionInfo info;
  const bool can_ask =
      is_kernel ? driver_.cuKernelGetParamInfo != nullptr : driver_.cuFuncGetParamInfo != nullptr;
  for (size_t i = 0; can_ask && i < kMaxParameters; ++i) {
    size_t offset = 0, bytes = 0;
    const CUresult result =
        is_kernel ? driver_.cuKernelGetParamInfo(static_cast<CUkernel>(handle), i, &offset, &bytes)
                  : driver_.cuFuncGetParamInfo(static_cast<CUfunction>(handle), i, &offset, &bytes);
    // A driver that says yes to everything has no parameters to tell of.
    if (result != CUDA_SUCCESS || bytes == 0 || offset + bytes > kMaxParameterBytes) break;
    info.parameters.push_back({static_cast<uint32_t>(offset), static_cast<uint32_t>(bytes)});
  }
  return &(infos_[id] = std::move(info));
}

void Functions::rename(uint64_t from, uint64_t to) {
  auto node = infos_.extract(from);
  if (node.empty()) return;
  node.key() = to;
  infos_.insert(std::move(node));
}

LaunchLimits Functions::limits(void* handle, bool is_kernel) const {
  CUdevice device = 0;
  const bool has_device =
      driver_.cuCtxGetDevice != nullptr && driver_.cuCtxGetDevice(&device) == CUDA_SUCCESS;
  const auto attribute = [&](CUfunction_attribute which) {
    int value = 0;
    CUresult result = CUDA_ERROR_NOT_SUPPORTED;
    if (is_kernel && has_device && driver_.cuKernelGetAttribute != nullptr) {
      result = driver_.cuKernelGetAttribute(&value, which, static_cast<CUkernel>(handle), device);
    } else if (!is_kernel && driver_.cuFuncGetAttribute != nullptr) {
      result = driver_.cuFuncGetAttribute(&value, which, static_cast<CUfunction>(handle));
    }
    return result == CUDA_SUCCESS ? value : 0;
  };
  LaunchLimits limits;
  limits.max_threads = attribute(CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK);
  limits.max_dynamic_shared = attribute(CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
  limits.has_clusters = attribute(CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET) != 0 ||
                        attribute(CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH) != 0;
  return limits;
}

}  // namespace tessera::remote
