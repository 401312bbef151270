// Attributes of streams.
#include <algorithm>

#include "cuda/abi.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/stream.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

extern "C" {

CUresult cuStreamGetAttribute(CUstream hStream, CUlaunchAttributeID attr, CUlaunchAttributeValue* value) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    if (value == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (attr != CU_LAUNCH_ATTRIBUTE_PRIORITY) return read_hint(stream->hints(), attr, value);
    *value = {};
    value->priority = stream->priority();
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamSetAttribute(CUstream hStream, CUlaunchAttributeID attr,
                              const CUlaunchAttributeValue* param) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> stream;
    SOFTGPU_RETURN_IF_ERROR(stream_of(hStream, &stream));
    if (param == nullptr) return CUDA_ERROR_INVALID_VALUE;
    if (attr == CU_LAUNCH_ATTRIBUTE_PRIORITY) {
      stream->set_priority(std::clamp(param->priority, kGreatestPriority, 0));
      return CUDA_SUCCESS;
    }
    StreamHints hints = stream->hints();
    SOFTGPU_RETURN_IF_ERROR(write_hint(&hints, attr, *param));
    stream->set_hints(hints);
    return CUDA_SUCCESS;
  });
}

CUresult cuStreamCopyAttributes(CUstream dstStream, CUstream srcStream) {
  return guarded([&]() -> CUresult {
    std::shared_ptr<Stream> to, from;
    SOFTGPU_RETURN_IF_ERROR(stream_of(dstStream, &to));
    SOFTGPU_RETURN_IF_ERROR(stream_of(srcStream, &from));
    if (&to->context() != &from->context()) return CUDA_ERROR_INVALID_VALUE;
    to->set_priority(from->priority());
    to->set_hints(from->hints());
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
