#include "softgpu/driver/function_attributes.h"

#include <algorithm>

#include "softgpu/device/model.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/module.h"

namespace tessera::softgpu {
namespace {

const DeviceModel& model_of(const Function& function) {
  return softgpu::model_of(function.module().context().device().config());
}

// The largest block whose registers an SM has.
uint32_t threads_by_registers(const DeviceModel& model, BlockNeeds needs, uint32_t most) {
  constexpr uint32_t kWarp = 32;
  for (needs.threads = most; needs.threads > kWarp; needs.threads -= std::min(kWarp, needs.threads)) {
    if (resident_blocks(model, needs) > 0) break;
  }
  return needs.threads;
}

// Constant memory of the function's module; which of it the function reads is not known.
int constant_bytes(const Function& function) {
  uint64_t bytes = 0;
  for (const exec::Symbol& symbol : function.module().program().symbols()) {
    if (symbol.space == ptx::Space::kConst) bytes += symbol.size;
  }
  return static_cast<int>(std::min<uint64_t>(bytes, 64u << 10));
}

CUresult set_dynamic_shared(Function& function, int bytes) {
  FunctionLimits limits;
  SOFTGPU_RETURN_IF_ERROR(function_limits(function, &limits));
  const uint64_t wanted = limits.needs.static_shared_bytes + static_cast<uint64_t>(std::max(bytes, 0));
  if (bytes < 0 || wanted > model_of(function).shared_per_block_optin) return CUDA_ERROR_INVALID_VALUE;
  function.settings().max_dynamic_shared_bytes = bytes;
  return CUDA_SUCCESS;
}

CUresult set_within(std::atomic<int>& setting, int value, int least, int most) {
  if (value < least || value > most) return CUDA_ERROR_INVALID_VALUE;
  setting = value;
  return CUDA_SUCCESS;
}

// Checked against the grid and the device when the kernel is launched.
CUresult set_required_cluster(Function& function, size_t dimension, int blocks) {
  std::shared_ptr<const exec::Kernel> kernel;
  SOFTGPU_RETURN_IF_ERROR(function.load(&kernel));
  if (kernel->info().required_cluster[0] != 0) return CUDA_ERROR_NOT_PERMITTED;
  return set_within(function.settings().required_cluster[dimension], blocks, 0, exec::kMaxClusterBlocks);
}

}  // namespace

CUresult function_limits(Function& function, FunctionLimits* limits) {
  std::shared_ptr<const exec::Kernel> kernel;
  SOFTGPU_RETURN_IF_ERROR(function.load(&kernel));
  const exec::KernelInfo& info = kernel->info();
  const DeviceModel& model = model_of(function);
  limits->needs = {.threads = 0,
                   .registers_per_thread = info.registers_per_thread,
                   .static_shared_bytes = info.static_shared_bytes,
                   .dynamic_shared_bytes = 0};
  limits->max_threads = threads_by_registers(model, limits->needs, info.max_threads_per_block);
  auto dynamic = static_cast<uint32_t>(function.settings().max_dynamic_shared_bytes.load());
  // Unless the program asks for more, static and dynamic memory share what a block gets.
  if (dynamic <= model.shared_per_block) {
    dynamic = std::min(dynamic,
                       model.shared_per_block - std::min(info.static_shared_bytes, model.shared_per_block));
  }
  limits->max_dynamic_shared_bytes = dynamic;
  return CUDA_SUCCESS;
}

CUresult get_function_attribute(Function& function, CUfunction_attribute attribute, int* value) {
  if (value == nullptr || attribute >= CU_FUNC_ATTRIBUTE_MAX) return CUDA_ERROR_INVALID_VALUE;
  std::shared_ptr<const exec::Kernel> kernel;
  SOFTGPU_RETURN_IF_ERROR(function.load(&kernel));
  FunctionLimits limits;
  SOFTGPU_RETURN_IF_ERROR(function_limits(function, &limits));
  const exec::KernelInfo& info = kernel->info();
  const FunctionSettings& settings = function.settings();
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      *value = static_cast<int>(limits.max_threads);
      break;
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      *value = static_cast<int>(info.static_shared_bytes);
      break;
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
      *value = constant_bytes(function);
      break;
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      *value = static_cast<int>(info.local_bytes_per_thread);
      break;
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      *value = static_cast<int>(info.registers_per_thread);
      break;
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
      *value = static_cast<int>(info.ptx_version);
      break;
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:  // PTX is made ready for the device it runs on
      *value = model_of(function).compute_major * 10 + model_of(function).compute_minor;
      break;
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      *value = static_cast<int>(limits.max_dynamic_shared_bytes);
      break;
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      *value = settings.preferred_carveout;
      break;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
      *value = info.explicit_cluster ? 1 : 0;
      break;
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH: {
      const size_t i = attribute - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH;
      const auto compiled = static_cast<int>(info.required_cluster[i]);
      *value = compiled != 0 ? compiled : settings.required_cluster[i].load();
      break;
    }
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
      *value = settings.non_portable_cluster;
      break;
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      *value = settings.cluster_policy;
      break;
    default:  // no compile-time cache mode
      *value = 0;
      break;
  }
  return CUDA_SUCCESS;
}

CUresult set_function_attribute(Function& function, CUfunction_attribute attribute, int value) {
  FunctionSettings& settings = function.settings();
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      return set_dynamic_shared(function, value);
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:  // a hint: there is no L1 to share with
      return set_within(settings.preferred_carveout, value, CU_SHAREDMEM_CARVEOUT_DEFAULT,
                        CU_SHAREDMEM_CARVEOUT_MAX_SHARED);
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
      return set_within(settings.non_portable_cluster, value, 0, 1);
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      return set_within(settings.cluster_policy, value, CU_CLUSTER_SCHEDULING_POLICY_DEFAULT,
                        CU_CLUSTER_SCHEDULING_POLICY_LOAD_BALANCING);
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
      return set_required_cluster(function, attribute - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH, value);
    default:  // read-only, or not defined
      return CUDA_ERROR_INVALID_VALUE;
  }
}

}  // namespace tessera::softgpu
