// Attributes of streams. But for the priority they are hints about caches, waiting and fences, which change
// nothing here; programs get back what they set.
#pragma once

#include "cuda/abi.h"

namespace tessera::softgpu {

// What a stream has beside its priority.
struct StreamHints {
  CUaccessPolicyWindow window{};
  CUsynchronizationPolicy waiting = CU_SYNC_POLICY_AUTO;
  CUlaunchMemSyncDomainMap domains{};
  CUlaunchMemSyncDomain domain = CU_LAUNCH_MEM_SYNC_DOMAIN_DEFAULT;
};

// CUDA_ERROR_INVALID_VALUE for attributes that streams do not have and for values that are none.
CUresult read_hint(const StreamHints& hints, CUlaunchAttributeID id, CUlaunchAttributeValue* value);
CUresult write_hint(StreamHints* hints, CUlaunchAttributeID id, const CUlaunchAttributeValue& value);

}  // namespace tessera::softgpu
