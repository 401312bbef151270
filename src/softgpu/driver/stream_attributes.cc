#include "softgpu/driver/stream_attributes.h"

namespace tessera::softgpu {
namespace {

constexpr unsigned kDomains = 1;  // CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT

// What misses can only be kept less than what hits.
bool valid(const CUaccessPolicyWindow& window) {
  return window.hitRatio >= 0 && window.hitRatio <= 1 && window.hitProp <= CU_ACCESS_PROPERTY_PERSISTING &&
         window.missProp <= CU_ACCESS_PROPERTY_STREAMING;
}

}  // namespace

CUresult read_hint(const StreamHints& hints, CUlaunchAttributeID id, CUlaunchAttributeValue* value) {
  *value = {};
  switch (id) {
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
      value->accessPolicyWindow = hints.window;
      return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
      value->syncPolicy = hints.waiting;
      return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
      value->memSyncDomainMap = hints.domains;
      return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
      value->memSyncDomain = hints.domain;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

CUresult write_hint(StreamHints* hints, CUlaunchAttributeID id, const CUlaunchAttributeValue& value) {
  switch (id) {
    case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
      if (!valid(value.accessPolicyWindow)) return CUDA_ERROR_INVALID_VALUE;
      hints->window = value.accessPolicyWindow;
      return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
      if (value.syncPolicy < CU_SYNC_POLICY_AUTO || value.syncPolicy > CU_SYNC_POLICY_BLOCKING_SYNC)
        return CUDA_ERROR_INVALID_VALUE;
      hints->waiting = value.syncPolicy;
      return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
      if (value.memSyncDomainMap.default_ >= kDomains || value.memSyncDomainMap.remote >= kDomains)
        return CUDA_ERROR_INVALID_VALUE;
      hints->domains = value.memSyncDomainMap;
      return CUDA_SUCCESS;
    case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
      if (value.memSyncDomain > CU_LAUNCH_MEM_SYNC_DOMAIN_REMOTE) return CUDA_ERROR_INVALID_VALUE;
      hints->domain = value.memSyncDomain;
      return CUDA_SUCCESS;
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

}  // namespace tessera::softgpu
