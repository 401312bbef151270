// User objects, and the graphs that keep references to them.
#include <climits>

#include "cuda/abi.h"
#include "softgpu/driver/graph/lookup.h"
#include "softgpu/driver/graph/user_object.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

bool count_ok(unsigned count) { return count != 0 && count <= INT_MAX; }

}  // namespace

extern "C" {

CUresult cuUserObjectCreate(CUuserObject* object_out, void* ptr, CUhostFn destroy,
                            unsigned int initialRefcount, unsigned int flags) {
  return on_graphs([&]() -> CUresult {
    const bool valid = object_out != nullptr && destroy != nullptr && count_ok(initialRefcount);
    // The flag says that nobody waits for the destructor; CUDA demands it.
    if (!valid || flags != CU_USER_OBJECT_NO_DESTRUCTOR_SYNC) return CUDA_ERROR_INVALID_VALUE;
    auto object = std::make_shared<UserObject>(destroy, ptr, initialRefcount);
    live<UserObject>().add(reinterpret_cast<uintptr_t>(object->handle()), object);
    *object_out = object->handle();
    return CUDA_SUCCESS;
  });
}

CUresult cuUserObjectRetain(CUuserObject object, unsigned int count) {
  return on_object<UserObject>(object, [&](UserObject& found) -> CUresult {
    if (!count_ok(count)) return CUDA_ERROR_INVALID_VALUE;
    found.retain_for_program(count);
    return CUDA_SUCCESS;
  });
}

CUresult cuUserObjectRelease(CUuserObject object, unsigned int count) {
  return on_object<UserObject>(object, [&](UserObject& found) -> CUresult {
    if (!count_ok(count) || !found.take_from_program(count)) return CUDA_ERROR_INVALID_VALUE;
    found.release(count);
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphRetainUserObject(CUgraph graph, CUuserObject object, unsigned int count, unsigned int flags) {
  return on_graph(graph, [&](Graph& keeper) -> CUresult {
    auto found = live<UserObject>().find(object);
    if (!found || !count_ok(count) || flags > CU_GRAPH_USER_OBJECT_MOVE) return CUDA_ERROR_INVALID_VALUE;
    if (flags != CU_GRAPH_USER_OBJECT_MOVE) {
      found->retain(count);
    } else if (!found->take_from_program(count)) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    keeper.user_objects()[std::move(found)] += count;
    return CUDA_SUCCESS;
  });
}

CUresult cuGraphReleaseUserObject(CUgraph graph, CUuserObject object, unsigned int count) {
  return on_graph(graph, [&](Graph& keeper) -> CUresult {
    const auto found = live<UserObject>().find(object);
    const auto kept = keeper.user_objects().find(found);
    if (!found || !count_ok(count) || kept == keeper.user_objects().end() || kept->second < count) {
      return CUDA_ERROR_INVALID_VALUE;
    }
    kept->second -= count;
    if (kept->second == 0) keeper.user_objects().erase(kept);
    found->release(count);
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
