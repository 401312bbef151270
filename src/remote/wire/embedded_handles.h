// Handles inside of structures that travel as they are: `visit` is called with each and its kind.
#pragma once

#include "cuda/abi.h"
#include "remote/ops.h"

namespace tessera::remote {

// What in a structure is for results only, or an address of the program's memory: whatever lies there before
// the call is none of the driver's.
template <typename T>
void clear_addresses(T&) {}
inline void clear_addresses(CUDA_GRAPH_INSTANTIATE_PARAMS& params) {
  params.hErrNode_out = nullptr;
  params.result_out = CUDA_GRAPH_INSTANTIATE_SUCCESS;
}
inline void clear_addresses(CUmemAllocationProp& prop) { prop.win32HandleMetaData = nullptr; }
inline void clear_addresses(CUmemPoolProps& props) { props.win32SecurityAttributes = nullptr; }

template <typename T, typename Visit>
void each_handle(T&, Visit) {}

template <typename Visit>
void each_handle(CUDA_GRAPH_INSTANTIATE_PARAMS& params, Visit visit) {
  visit(HandleKind::kCUstream, params.hUploadStream);
  visit(HandleKind::kCUgraphNode, params.hErrNode_out);
}

template <typename Visit>
void each_handle(CUgraphExecUpdateResultInfo& info, Visit visit) {
  visit(HandleKind::kCUgraphNode, info.errorNode);
  visit(HandleKind::kCUgraphNode, info.errorFromNode);
}

template <typename Visit>
void each_handle(CUDA_MEMCPY2D& copy, Visit visit) {
  visit(HandleKind::kCUarray, copy.srcArray);
  visit(HandleKind::kCUarray, copy.dstArray);
}

template <typename Visit>
void each_handle(CUDA_MEMCPY3D& copy, Visit visit) {
  visit(HandleKind::kCUarray, copy.srcArray);
  visit(HandleKind::kCUarray, copy.dstArray);
}

template <typename Visit>
void each_handle(CUDA_MEMCPY3D_PEER& copy, Visit visit) {
  visit(HandleKind::kCUarray, copy.srcArray);
  visit(HandleKind::kCUarray, copy.dstArray);
  visit(HandleKind::kCUcontext, copy.srcContext);
  visit(HandleKind::kCUcontext, copy.dstContext);
}

template <typename Visit>
void each_handle(CUDA_RESOURCE_DESC& resource, Visit visit) {
  if (resource.resType == CU_RESOURCE_TYPE_ARRAY) visit(HandleKind::kCUarray, resource.res.array.hArray);
  if (resource.resType == CU_RESOURCE_TYPE_MIPMAPPED_ARRAY) {
    visit(HandleKind::kCUmipmappedArray, resource.res.mipmap.hMipmappedArray);
  }
}

}  // namespace tessera::remote
