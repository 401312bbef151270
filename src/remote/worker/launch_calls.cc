// Launches of kernels and of host functions.
#include <cstring>
#include <vector>

#include "remote/wire/launch.h"
#include "remote/worker/own_calls.h"
#include "remote/worker/worker.h"

namespace tessera::remote {
namespace {

// Handles in an attribute, each at its own place. False where it has addresses of the program, or may have.
bool translate_attribute(Serving& s, CUlaunchAttributeID id, CUlaunchAttributeValue& value) {
  if (id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT) {
    s.translate(HandleKind::kCUevent, &value.programmaticEvent.event, 1);
  } else if (id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT) {
    s.translate(HandleKind::kCUevent, &value.launchCompletionEvent.event, 1);
  } else if (id == CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE || id >= CU_LAUNCH_ATTRIBUTE_MAX) {
    return false;
  }
  return s.failed == CUDA_SUCCESS;
}

bool translate_attributes(Serving& s, CUlaunchAttribute* attributes, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    if (!translate_attribute(s, attributes[i].id, attributes[i].value)) return false;
  }
  return s.failed == CUDA_SUCCESS;
}

CUresult refusal(const Serving& s) { return s.failed != CUDA_SUCCESS ? s.failed : CUDA_ERROR_NOT_SUPPORTED; }

CUresult set_node_attribute(Serving& s) {
  const auto node = s.handle<CUgraphNode>(HandleKind::kCUgraphNode, s.in.value<uint64_t>());
  const auto id = s.in.value<CUlaunchAttributeID>();
  auto* value = s.in.structure<CUlaunchAttributeValue>();
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (s.table.cuGraphKernelNodeSetAttribute == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  if (value != nullptr && !translate_attribute(s, id, *value)) return refusal(s);
  return s.table.cuGraphKernelNodeSetAttribute(node, id, value);
}

CUresult get_node_attribute(Serving& s) {
  const auto node = s.handle<CUgraphNode>(HandleKind::kCUgraphNode, s.in.value<uint64_t>());
  const auto id = s.in.value<CUlaunchAttributeID>();
  const bool is_wanted = s.in.wanted();
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (s.table.cuGraphKernelNodeGetAttribute == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  CUlaunchAttributeValue value{};
  const CUresult result = s.table.cuGraphKernelNodeGetAttribute(node, id, is_wanted ? &value : nullptr);
  const auto name = [&](CUevent& event) {
    event = (CUevent)s.id_of(HandleKind::kCUevent, (uint64_t)event, 0);
  };
  if (id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT) name(value.programmaticEvent.event);
  if (id == CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT) name(value.launchCompletionEvent.event);
  s.out.array(is_wanted ? &value : nullptr, 1);
  return result;
}

CUresult set_stream_attribute(Serving& s) {
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, s.in.value<uint64_t>());
  const auto id = s.in.value<CUlaunchAttributeID>();
  auto* value = s.in.structure<CUlaunchAttributeValue>();
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (s.table.cuStreamSetAttribute == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  if (value != nullptr && !translate_attribute(s, id, *value)) return refusal(s);
  return s.table.cuStreamSetAttribute(stream, id, value);
}

// Where the parameters lie that came as bytes; false where they are not this function's.
bool point_to_parameters(Serving& s, const LaunchFields& fields, ByteSpan parameters, void** pointers) {
  const FunctionInfo* info = s.worker.code().info(fields.function);
  if (info == nullptr || info->parameter_bytes() != parameters.size()) return false;
  for (size_t i = 0; i < info->parameters.size(); ++i) {
    pointers[i] = const_cast<std::byte*>(parameters.data() + info->parameters[i].offset);
  }
  return true;
}

CUresult launch_multi_device(Serving& s) {
  const auto count = s.in.value<uint32_t>(), flags = s.in.value<uint32_t>();
  if (count > kMaxLaunches) return s.malformed();
  std::vector<CUDA_LAUNCH_PARAMS> launches(count);
  std::vector<std::vector<void*>> pointers(count, std::vector<void*>(kMaxParameters));
  for (uint32_t i = 0; i < count; ++i) {
    const auto fields = s.in.value<LaunchFields>();
    if (fields.attributes != 0 || fields.parameter_bytes > kMaxParameterBytes) return s.malformed();
    const ByteSpan parameters = s.in.raw(fields.parameter_bytes);
    if (s.in.failed()) return s.malformed();
    const auto function = s.handle<CUfunction>(HandleKind::kCUfunction, fields.function);
    const auto stream = s.handle<CUstream>(HandleKind::kCUstream, fields.stream);
    if (s.failed != CUDA_SUCCESS) return s.failed;
    if (!point_to_parameters(s, fields, parameters, pointers[i].data())) return s.malformed();
    launches[i] = {function,        fields.grid[0],  fields.grid[1],      fields.grid[2], fields.block[0],
                   fields.block[1], fields.block[2], fields.shared_bytes, stream,         pointers[i].data()};
  }
  if (!s.in.whole()) return s.malformed();
  if (s.table.cuLaunchCooperativeKernelMultiDevice == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  s.worker.note_launch();
  return s.table.cuLaunchCooperativeKernelMultiDevice(launches.data(), count, flags);
}

CUresult launch(Serving& s) {
  const auto fields = s.in.value<LaunchFields>();
  if (fields.attributes > kMaxLaunchAttributes || fields.parameter_bytes > kMaxParameterBytes)
    return s.malformed();
  const ByteSpan attribute_bytes = s.in.raw(fields.attributes * sizeof(CUlaunchAttribute));
  const ByteSpan parameters = s.in.raw(fields.parameter_bytes);
  if (!s.in.whole()) return s.malformed();
  const auto function = s.handle<CUfunction>(HandleKind::kCUfunction, fields.function);
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, fields.stream);
  if (s.failed != CUDA_SUCCESS) return s.failed;
  void* pointers[kMaxParameters];
  if (!point_to_parameters(s, fields, parameters, pointers)) return s.malformed();
  s.worker.note_launch();
  const auto op = static_cast<Op>(s.op);
  if (op == Op::cuLaunchKernel) {
    const CUresult result = s.table.cuLaunchKernel(function, fields.grid[0], fields.grid[1], fields.grid[2],
                                                   fields.block[0], fields.block[1], fields.block[2],
                                                   fields.shared_bytes, stream, pointers, nullptr);
    if (s.wants_answer && result == CUDA_SUCCESS) {
      s.out.value(s.worker.code().limits(function, kind_of(fields.function) == HandleKind::kCUkernel));
    }
    return result;
  }
  if (op == Op::cuLaunchCooperativeKernel) {
    return s.table.cuLaunchCooperativeKernel(function, fields.grid[0], fields.grid[1], fields.grid[2],
                                             fields.block[0], fields.block[1], fields.block[2],
                                             fields.shared_bytes, stream, pointers);
  }
  if (s.table.cuLaunchKernelEx == nullptr) return CUDA_ERROR_NOT_SUPPORTED;
  auto* attributes = s.arena.array<CUlaunchAttribute>(fields.attributes);
  if (attributes == nullptr) return s.too_large();
  if (!attribute_bytes.empty()) memcpy(attributes, attribute_bytes.data(), attribute_bytes.size());
  if (!translate_attributes(s, attributes, fields.attributes)) return refusal(s);
  CUlaunchConfig config{};
  config.gridDimX = fields.grid[0];
  config.gridDimY = fields.grid[1];
  config.gridDimZ = fields.grid[2];
  config.blockDimX = fields.block[0];
  config.blockDimY = fields.block[1];
  config.blockDimZ = fields.block[2];
  config.sharedMemBytes = fields.shared_bytes;
  config.hStream = stream;
  config.attrs = attributes;
  config.numAttrs = fields.attributes;
  if (op == Op::cuOccupancyMaxPotentialClusterSize || op == Op::cuOccupancyMaxActiveClusters) {
    int found = 0;
    const CUresult result = op == Op::cuOccupancyMaxActiveClusters
                                ? s.table.cuOccupancyMaxActiveClusters(&found, function, &config)
                                : s.table.cuOccupancyMaxPotentialClusterSize(&found, function, &config);
    s.out.value(found);
    return result;
  }
  return s.table.cuLaunchKernelEx(&config, function, pointers, nullptr);
}

// The stream writes by itself where the program may look.
template <Op kOp>
CUresult stream_values(Serving& s) {
  s.worker.note_launch();
  return kServes[static_cast<size_t>(kOp)](s);
}

CUresult graph_launch(Serving& s) {
  s.worker.note_launch();
  return kServes[static_cast<size_t>(Op::cuGraphLaunch)](s);
}

// A function of the client's: it is told when its turn has come, and the stream waits until it has returned.
CUresult launch_host(Serving& s) {
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, s.in.value<uint64_t>());
  const auto callback = s.in.value<uint64_t>();
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  s.worker.note_work();
  s.worker.note_others();
  return s.worker.callbacks().launch(stream, callback);
}

CUresult add_callback(Serving& s) {
  const auto stream = s.handle<CUstream>(HandleKind::kCUstream, s.in.value<uint64_t>());
  const auto callback = s.in.value<uint64_t>();
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  s.worker.note_work();
  s.worker.note_others();
  return s.worker.callbacks().add(stream, callback);
}

CUresult callback_done(Serving& s) {
  const auto callback = s.in.value<uint64_t>();
  if (!s.in.whole()) return s.malformed();
  s.worker.callbacks().done(callback);
  return CUDA_SUCCESS;
}

// The client is about to look at its memory, in a function of its own.
CUresult collect(Serving& s) {
  if (!s.in.whole()) return s.malformed();
  s.worker.bring_host_changes();
  return CUDA_SUCCESS;
}

}  // namespace

std::span<const OwnCall> launch_calls() {
  static constexpr OwnCall kCallsHere[] = {
      own(Op::cuLaunchKernel, launch),
      own(Op::cuLaunchKernelEx, launch),
      own(Op::cuLaunchCooperativeKernel, launch),
      own(Op::cuLaunchCooperativeKernelMultiDevice, launch_multi_device),
      own(Op::cuOccupancyMaxPotentialClusterSize, launch),
      own(Op::cuOccupancyMaxActiveClusters, launch),
      own(Op::cuGraphLaunch, graph_launch),
      own(Op::cuGraphKernelNodeSetAttribute, set_node_attribute),
      own(Op::cuGraphKernelNodeGetAttribute, get_node_attribute),
      own(Op::cuStreamSetAttribute, set_stream_attribute),
      own(Op::cuStreamWriteValue32, stream_values<Op::cuStreamWriteValue32>),
      own(Op::cuStreamWriteValue32_v2, stream_values<Op::cuStreamWriteValue32_v2>),
      own(Op::cuStreamWriteValue64, stream_values<Op::cuStreamWriteValue64>),
      own(Op::cuStreamWriteValue64_v2, stream_values<Op::cuStreamWriteValue64_v2>),
      own(Op::cuStreamBatchMemOp, stream_values<Op::cuStreamBatchMemOp>),
      own(Op::cuStreamBatchMemOp_v2, stream_values<Op::cuStreamBatchMemOp_v2>),
      own(Op::cuLaunchHostFunc, launch_host),
      own(Op::cuStreamAddCallback, add_callback),
      own(Message::kCallbackDone, callback_done),
      own(Message::kCollect, collect),
  };
  return kCallsHere;
}

}  // namespace tessera::remote
