// Memory pools between processes. A pool's descriptor is a file that says which pool it is, and nothing more:
// its memory is opened pointer by pointer, as memory of cuMemAlloc is by its handles.
#include <unistd.h>

#include <cstring>

#include "softgpu/driver/context.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/device_memory.h"
#include "softgpu/driver/imported_memory.h"
#include "softgpu/driver/ipc_handle.h"
#include "softgpu/driver/memory_pool.h"

namespace tessera::softgpu {
namespace {

constexpr const char* kFileName = "softgpu-pool";
constexpr uint64_t kFileBytes = 4096;

CUresult cannot_write() {
  return result_of_import(Status::error(Code::kResourceExhausted, "cannot write a pool's file"));
}

}  // namespace

CUresult MemoryPool::export_file(int* fd) const {
  if (share_id_ == 0 || imported_) return CUDA_ERROR_INVALID_VALUE;
  auto file = MemoryFile::create(kFileName, kFileBytes);
  if (!file.ok()) return result_of_import(file.status());
  const IpcHandleBytes bytes = IpcHandle{IpcKind::kPool, device_.uuid(), share_id_, 0}.bytes();
  if (pwrite((*file)->fd(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return cannot_write();
  auto duplicate = (*file)->duplicate();
  if (!duplicate.ok()) return result_of_import(duplicate.status());
  *fd = duplicate->release();
  return CUDA_SUCCESS;
}

CUresult MemoryPool::import_file(int fd, std::shared_ptr<MemoryPool>* pool) {
  auto file = MemoryFile::open(fd);
  if (!file.ok()) return result_of_import(file.status());
  IpcHandleBytes bytes{};
  if ((*file)->name() != kFileName || (*file)->size() != kFileBytes ||
      pread((*file)->fd(), bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    return CUDA_ERROR_INVALID_VALUE;
  const auto named = IpcHandle::read(bytes, IpcKind::kPool);
  Device* device = named ? device_of(*named) : nullptr;
  if (device == nullptr || named->id == 0) return CUDA_ERROR_INVALID_VALUE;
  *pool = enter(std::shared_ptr<MemoryPool>(new MemoryPool(*device, named->id, true)));
  return CUDA_SUCCESS;
}

CUresult MemoryPool::export_pointer(const Allocation& allocation, CUmemPoolPtrExportData* data) const {
  if (share_id_ == 0 || imported_) return CUDA_ERROR_INVALID_VALUE;
  const auto id = device_.memory().export_range({allocation.range_begin, allocation.range_size},
                                                allocation.size, share_id_);
  if (!id.ok()) return result_of_import(id.status());
  const IpcHandleBytes bytes = IpcHandle{IpcKind::kPoolPointer, device_.uuid(), *id, share_id_}.bytes();
  static_assert(sizeof data->reserved == sizeof bytes);
  memcpy(data->reserved, bytes.data(), bytes.size());
  return CUDA_SUCCESS;
}

CUresult MemoryPool::import_pointer(Context& context, const CUmemPoolPtrExportData& data, uint64_t* address) {
  if (!imported_) return CUDA_ERROR_INVALID_VALUE;
  IpcHandleBytes bytes;
  memcpy(bytes.data(), data.reserved, bytes.size());
  const auto named = IpcHandle::read(bytes, IpcKind::kPoolPointer);
  if (!named || named->pool != share_id_ || device_of(*named) != &device_) return CUDA_ERROR_INVALID_VALUE;
  const auto imported = device_.memory().import(named->id, share_id_);
  if (!imported.ok()) return result_of_import(imported.status());
  {
    std::lock_guard lock(mutex_);
    count_reserved_locked(imported->range);
  }
  enter_allocation(context, imported->range, imported->allocated);
  *address = imported->range.begin;
  return CUDA_SUCCESS;
}

}  // namespace tessera::softgpu
