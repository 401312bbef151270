#include "softgpu/driver/graph/work.h"

#include <algorithm>
#include <cstring>

#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/host_op.h"

namespace tessera::softgpu {

CUresult EmptyWork::make(const std::shared_ptr<Context>&, OpRef* op) const {
  op->reset();
  return CUDA_SUCCESS;
}

CUresult KernelWork::create(const CUDA_KERNEL_NODE_PARAMS& params, const LaunchRequest& request,
                            std::shared_ptr<KernelWork>* work) {
  std::shared_ptr<KernelWork> made(new KernelWork());
  const CUfunction handle = params.func != nullptr ? params.func : reinterpret_cast<CUfunction>(params.kern);
  CUresult result = function_of(handle, &made->function_);
  if (result != CUDA_SUCCESS) return result;
  result = prepare_launch(*made->function_, request, &made->launch_);
  if (result != CUDA_SUCCESS) return result;
  made->context_ = made->function_->module().context().shared_from_this();
  made->params_ = params;
  made->params_.ctx = made->context_->handle();
  made->priority_ = request.priority;
  made->attributes_ = request.hints;
  made->point_at_parameters();
  *work = std::move(made);
  return CUDA_SUCCESS;
}

void KernelWork::point_at_parameters() {
  pointers_.clear();
  for (const exec::Parameter& parameter : launch_.launch.kernel->info().parameters) {
    pointers_.push_back(launch_.launch.parameters.data() + parameter.offset);
  }
  params_.kernelParams = pointers_.empty() ? nullptr : pointers_.data();
  params_.extra = nullptr;
}

std::shared_ptr<KernelWork> KernelWork::copy() const {
  std::shared_ptr<KernelWork> made(new KernelWork());
  made->function_ = function_;
  made->context_ = context_;
  made->params_ = params_;
  made->launch_ = launch_;
  made->priority_ = priority_;
  made->attributes_ = attributes_;
  made->point_at_parameters();
  return made;
}

CUresult KernelWork::make(const std::shared_ptr<Context>&, OpRef* op) const {
  *op = make_kernel(context_, launch_, priority_);
  return CUDA_SUCCESS;
}

CUDA_KERNEL_NODE_PARAMS KernelWork::params() const { return params_; }

CUresult KernelWork::attribute(CUlaunchAttributeID id, CUlaunchAttributeValue* value) const {
  *value = {};
  if (id == CU_LAUNCH_ATTRIBUTE_PRIORITY) value->priority = priority_;
  if (id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION && launch_.launch.explicit_cluster)
    value->clusterDim = {launch_.launch.cluster.x, launch_.launch.cluster.y, launch_.launch.cluster.z};
  if (id == CU_LAUNCH_ATTRIBUTE_COOPERATIVE) value->cooperative = launch_.cooperative ? 1 : 0;
  for (const CUlaunchAttribute& known : attributes_) {
    if (known.id == id) *value = known.value;
  }
  return id >= CU_LAUNCH_ATTRIBUTE_MAX ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult KernelWork::with_attribute(CUlaunchAttributeID id, const CUlaunchAttributeValue& value,
                                    std::shared_ptr<KernelWork>* work) const {
  const CUlaunchAttribute attribute{id, {}, value};
  LaunchRequest request;
  request.priority = priority_;
  request.cooperative = launch_.cooperative;
  const CUresult result = apply_attributes(&attribute, 1, &request);
  if (result != CUDA_SUCCESS) return result;
  if (!request.events.empty()) return CUDA_ERROR_NOT_SUPPORTED;
  if (request.cooperative) {
    const CUresult fits = check_residency(launch_.launch, context_->device());
    if (fits != CUDA_SUCCESS) return fits;
  }
  auto made = copy();
  made->priority_ = request.priority;
  if (id == CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION) {
    const CUresult clusters = set_cluster(*made->function_, request.cluster, &made->launch_.launch);
    if (clusters != CUDA_SUCCESS) return clusters;
  }
  made->launch_.cooperative = request.cooperative;
  std::erase_if(made->attributes_, [id](const CUlaunchAttribute& known) { return known.id == id; });
  if (id != CU_LAUNCH_ATTRIBUTE_PRIORITY && id != CU_LAUNCH_ATTRIBUTE_COOPERATIVE)
    made->attributes_.push_back(attribute);
  *work = std::move(made);
  return CUDA_SUCCESS;
}

std::shared_ptr<KernelWork> KernelWork::with_attributes_of(const KernelWork& other) const {
  auto made = copy();
  made->priority_ = other.priority_;
  made->launch_.cooperative = other.launch_.cooperative;
  made->attributes_ = other.attributes_;
  // Where this kernel or grid does not allow the other's clusters, it keeps its own.
  if (other.launch_.launch.explicit_cluster)
    (void)set_cluster(*made->function_, other.launch_.launch.cluster, &made->launch_.launch);
  return made;
}

CopyWork::CopyWork(const CopyRequest& request, std::shared_ptr<Context> context)
    : context_(std::move(context)), request_(request) {
  const CopyBox& box = request.box;
  params_.dstMemoryType = params_.srcMemoryType = CU_MEMORYTYPE_UNIFIED;
  params_.dstDevice = box.dst;
  params_.srcDevice = box.src;
  params_.WidthInBytes = box.width;
  params_.Height = box.height;
  params_.Depth = box.depth;
  params_.dstPitch = box.dst_pitch;
  params_.srcPitch = box.src_pitch;
  params_.dstHeight = box.dst_pitch != 0 ? box.dst_slice / box.dst_pitch : 0;
  params_.srcHeight = box.src_pitch != 0 ? box.src_slice / box.src_pitch : 0;
}

CUresult CopyWork::create(const CUDA_MEMCPY3D& params, std::shared_ptr<Context> context, WorkRef* work) {
  std::shared_ptr<CopyWork> made(new CopyWork());
  CUresult result = request_of(params, &made->request_);
  if (result != CUDA_SUCCESS) return result;
  result = check_copy(*context, made->request_);
  if (result != CUDA_SUCCESS) return result;
  made->params_ = params;
  made->context_ = std::move(context);
  *work = std::move(made);
  return CUDA_SUCCESS;
}

CUresult CopyWork::make(const std::shared_ptr<Context>&, OpRef* op) const {
  return make_copy(context_, request_, op);
}

CUresult SetWork::create(const CUDA_MEMSET_NODE_PARAMS& params, std::shared_ptr<Context> context,
                         WorkRef* work) {
  const bool element_ok = params.elementSize == 1 || params.elementSize == 2 || params.elementSize == 4;
  if (!element_ok || params.width == 0 || params.height == 0) return CUDA_ERROR_INVALID_VALUE;
  std::shared_ptr<SetWork> made(new SetWork());
  made->box_ = {params.dst, params.value, params.elementSize, params.width, params.height, params.pitch};
  const CUresult result = check_fill(*context, made->box_);
  if (result != CUDA_SUCCESS) return result;
  made->params_ = params;
  made->context_ = std::move(context);
  *work = std::move(made);
  return CUDA_SUCCESS;
}

CUresult SetWork::make(const std::shared_ptr<Context>&, OpRef* op) const {
  return make_fill(context_, box_, op);
}

CUresult HostWork::make(const std::shared_ptr<Context>& site, OpRef* op) const {
  *op = std::make_shared<HostOp>(site, params_.fn, params_.userData);
  return CUDA_SUCCESS;
}

CUresult EventWork::make(const std::shared_ptr<Context>&, OpRef* op) const {
  *op = record_ ? event_->begin_recording() : std::make_shared<MarkerOp>();
  return CUDA_SUCCESS;
}

ChildWork::ChildWork(std::shared_ptr<Graph> graph) : graph_(std::move(graph)) { graph_->set_owned(); }
ChildWork::~ChildWork() { live<Graph>().remove(graph_->handle()); }
std::shared_ptr<const NodeWork> ChildWork::cloned() const {
  return std::make_shared<ChildWork>(graph_->clone());
}

namespace {

// Host memory stays host memory, and device memory device memory.
bool same_kinds(const CUDA_MEMCPY3D& a, const CUDA_MEMCPY3D& b) {
  return a.srcMemoryType == b.srcMemoryType && a.dstMemoryType == b.dstMemoryType;
}

}  // namespace

CUgraphExecUpdateResult check_update(const NodeWork& from, const NodeWork& to) {
  if (from.type() != to.type()) return CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED;
  switch (from.type()) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
      return static_cast<const OpWork&>(from).context() == static_cast<const OpWork&>(to).context()
                 ? CU_GRAPH_EXEC_UPDATE_SUCCESS
                 : CU_GRAPH_EXEC_UPDATE_ERROR_UNSUPPORTED_FUNCTION_CHANGE;
    case CU_GRAPH_NODE_TYPE_MEMCPY: {
      const auto& a = static_cast<const CopyWork&>(from);
      const auto& b = static_cast<const CopyWork&>(to);
      return a.context() == b.context() && same_kinds(a.params(), b.params())
                 ? CU_GRAPH_EXEC_UPDATE_SUCCESS
                 : CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
    }
    case CU_GRAPH_NODE_TYPE_MEMSET: {
      const auto& a = static_cast<const SetWork&>(from);
      const auto& b = static_cast<const SetWork&>(to);
      const bool same_shape = (a.params().height > 1) == (b.params().height > 1);
      return a.context() == b.context() && same_shape ? CU_GRAPH_EXEC_UPDATE_SUCCESS
                                                      : CU_GRAPH_EXEC_UPDATE_ERROR_PARAMETERS_CHANGED;
    }
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
      return &from == &to ? CU_GRAPH_EXEC_UPDATE_SUCCESS : CU_GRAPH_EXEC_UPDATE_ERROR_NOT_SUPPORTED;
    default:
      return CU_GRAPH_EXEC_UPDATE_SUCCESS;
  }
}

}  // namespace tessera::softgpu
