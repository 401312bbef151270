// Memory that one call makes and one call frees. Managed memory is charged for what of it may be on the
// device, which no model can tell from outside: see driver_managed_memory.
#include <algorithm>
#include <string>

#include "walk.h"

namespace walk {
namespace {

struct Block {
  uint64_t bytes = 0;  // charged
  virtual ~Block() = default;
};
using BlockRef = std::unique_ptr<Block>;

template <auto Free, typename Handle>
struct Freed final : Block {
  explicit Freed(Handle h) : handle(h) {}
  ~Freed() override { CU_CHECK(Free(handle)); }
  Handle handle;
};

struct InOrder final : Block {
  explicit InOrder(CUdeviceptr a) : address(a) {}
  ~InOrder() override {
    CU_CHECK(cuMemFreeAsync(address, nullptr));
    CU_CHECK(cuStreamSynchronize(nullptr));
  }
  CUdeviceptr address;
};

class BlockRoad : public Road {
 public:
  void take(Walk& walk) final {
    BlockRef block;
    const uint64_t bytes = choose(walk);
    if (!walk.takes(bytes, [&] { return allocate(block); })) return;
    block->bytes = bytes;
    blocks_.push_back(std::move(block));
  }
  bool give(Walk& walk) final {
    if (blocks_.empty()) return false;
    std::swap(blocks_[walk.roll(blocks_.size())], blocks_.back());
    walk.shrinks(blocks_.back()->bytes);
    blocks_.pop_back();
    return true;
  }

 protected:
  // What the next allocation is to be, and the bytes charged for it.
  virtual uint64_t choose(Walk& walk) { return bytes_ = walk.some_bytes(); }
  virtual CUresult allocate(BlockRef& block) const = 0;

  uint64_t bytes_ = 0;

 private:
  std::vector<BlockRef> blocks_;
};

template <typename Call>
CUresult freed_by_address(BlockRef& block, Call call) {
  CUdeviceptr address = 0;
  const CUresult result = call(&address);
  if (result == CUDA_SUCCESS) block = std::make_unique<Freed<&cuMemFree_v2, CUdeviceptr>>(address);
  return result;
}

class Linear final : public BlockRoad {
  CUresult allocate(BlockRef& block) const override {
    return freed_by_address(block, [&](CUdeviceptr* address) { return cuMemAlloc_v2(address, bytes_); });
  }
};

class Pitched final : public BlockRoad {
  CUresult allocate(BlockRef& block) const override {
    return freed_by_address(block, [&](CUdeviceptr* address) {
      size_t pitch = 0;
      const CUresult result = cuMemAllocPitch_v2(address, &pitch, kUnit, bytes_ / kUnit, 4);
      REQUIRE(result != CUDA_SUCCESS || pitch == kUnit, "a pitch of %zu for %zu", pitch, size_t{kUnit});
      return result;
    });
  }
};

class Ordered final : public BlockRoad {
  CUresult allocate(BlockRef& block) const override {
    CUdeviceptr address = 0;
    const CUresult result = cuMemAllocAsync(&address, bytes_, nullptr);
    if (result == CUDA_SUCCESS) block = std::make_unique<InOrder>(address);
    return result;
  }
};

class Arrays final : public BlockRoad {
  // Rows of 128 texels of 4 bytes.
  uint64_t choose(Walk& walk) override {
    shape_.Width = 128;
    shape_.Height = 1 + walk.roll(16'384);
    shape_.Format = CU_AD_FORMAT_UNSIGNED_INT8;
    shape_.NumChannels = 4;
    return shape_.Height * kUnit;
  }
  CUresult allocate(BlockRef& block) const override {
    CUarray made = nullptr;
    const CUresult result = cuArrayCreate_v2(&made, &shape_);
    if (result == CUDA_SUCCESS) block = std::make_unique<Freed<&cuArrayDestroy, CUarray>>(made);
    return result;
  }
  CUDA_ARRAY_DESCRIPTOR shape_{};
};

class Mipmapped final : public BlockRoad {
  uint64_t choose(Walk& walk) override {
    levels_ = static_cast<unsigned>(1 + walk.roll(11));
    shape_.Width = 1024;
    shape_.Height = 1024 >> walk.roll(4);
    shape_.Depth = walk.roll(2) == 0 ? 0 : 1 + walk.roll(3);  // so many layers
    shape_.Flags = shape_.Depth == 0 ? 0 : CUDA_ARRAY3D_LAYERED;
    shape_.Format = CU_AD_FORMAT_FLOAT;
    shape_.NumChannels = 1;
    uint64_t bytes = 0;
    const uint64_t layers = std::max<uint64_t>(shape_.Depth, 1);
    for (unsigned level = 0; level < levels_; ++level) {
      bytes += std::max<uint64_t>(shape_.Width >> level, 1) * std::max<uint64_t>(shape_.Height >> level, 1) *
               layers * 4;
    }
    return (bytes + kUnit - 1) / kUnit * kUnit;
  }
  CUresult allocate(BlockRef& block) const override {
    CUmipmappedArray made = nullptr;
    const CUresult result = cuMipmappedArrayCreate(&made, &shape_, levels_);
    if (result == CUDA_SUCCESS)
      block = std::make_unique<Freed<&cuMipmappedArrayDestroy, CUmipmappedArray>>(made);
    return result;
  }
  CUDA_ARRAY3D_DESCRIPTOR shape_{};
  unsigned levels_ = 0;
};

// Variables of modules, which no call names: what loading took is measured. Where the slice has no room the
// module is unloaded again.
class Modules final : public BlockRoad {
  CUresult allocate(BlockRef& block) const override {
    const std::string ptx =
        ".version 6.4\n.target sm_70\n.address_size 64\n.visible .global .align 4 .b8 variable[" +
        std::to_string(bytes_) + "];\n";
    CUmodule made = nullptr;
    const CUresult result = cuModuleLoadData(&made, ptx.c_str());
    if (result == CUDA_SUCCESS) block = std::make_unique<Freed<&cuModuleUnload, CUmodule>>(made);
    return result;
  }
};

// Managed variables of libraries, which belong to no context. Where the slice has no room the driver holds
// them all the same, and the slice owes for them until the library goes.
class Libraries final : public BlockRoad {
  CUresult allocate(BlockRef& block) const override {
    const std::string ptx =
        ".version 6.4\n.target sm_70\n.address_size 64\n"
        ".visible .global .attribute(.managed) .align 4 .b8 variable[" +
        std::to_string(bytes_) + "];\n";
    CUlibrary made = nullptr;
    CU_CHECK(cuLibraryLoadData(&made, ptx.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0));
    CUdeviceptr address = 0;
    size_t bytes = 0;
    const CUresult result = cuLibraryGetManaged(&address, &bytes, made, "variable");
    auto library = std::make_unique<Freed<&cuLibraryUnload, CUlibrary>>(made);
    if (result == CUDA_SUCCESS) block = std::move(library);
    return result;
  }
};

// A context with memory, a module and a library's variables in it: all that ends with the context, whether
// the library is unloaded before or after.
class Contexts final : public BlockRoad {
  struct Held final : Block {
    ~Held() override {
      if (library_first) CU_CHECK(cuLibraryUnload(library));
      CU_CHECK(cuCtxDestroy_v2(context));
      if (!library_first) CU_CHECK(cuLibraryUnload(library));
    }
    CUcontext context = nullptr;
    CUlibrary library = nullptr;
    bool library_first = false;
  };

  uint64_t choose(Walk& walk) override {
    part_ = (walk.some_bytes() / 3 / kUnit + 1) * kUnit;
    library_first_ = walk.roll(2) == 0;
    return 3 * part_;
  }
  CUresult fill(CUlibrary library, const std::string& image) const {
    CUdeviceptr address = 0;
    size_t bytes = 0;
    CUmodule module = nullptr;
    CUresult result = cuMemAlloc_v2(&address, part_);
    if (result == CUDA_SUCCESS) result = cuModuleLoadData(&module, image.c_str());
    if (result == CUDA_SUCCESS) result = cuLibraryGetGlobal(&address, &bytes, library, "variable");
    return result;
  }
  CUresult allocate(BlockRef& block) const override {
    const std::string image =
        ".version 6.4\n.target sm_70\n.address_size 64\n.visible .global .align 4 .b8 variable[" +
        std::to_string(part_) + "];\n";
    auto held = std::make_unique<Held>();
    held->library_first = library_first_;
    CU_CHECK(cuLibraryLoadData(&held->library, image.c_str(), nullptr, nullptr, 0, nullptr, nullptr, 0));
    CU_CHECK(cuCtxCreate_v2(&held->context, 0, 0));
    const CUresult result = fill(held->library, image);
    CUcontext popped = nullptr;
    CU_CHECK(cuCtxPopCurrent_v2(&popped));
    if (result == CUDA_SUCCESS) block = std::move(held);
    return result;
  }

  uint64_t part_ = 0;
  bool library_first_ = false;
};

// Of the host's memory: nothing is charged for it.
class Host final : public BlockRoad {
  uint64_t choose(Walk&) override { return 0; }
  CUresult allocate(BlockRef& block) const override {
    void* memory = nullptr;
    const CUresult result = cuMemHostAlloc(&memory, 1 << 16, 0);
    if (result == CUDA_SUCCESS) block = std::make_unique<Freed<&cuMemFreeHost, void*>>(memory);
    return result;
  }
};

}  // namespace

void add_block_roads(Roads& roads) {
  roads.push_back(std::make_unique<Linear>());
  roads.push_back(std::make_unique<Pitched>());
  roads.push_back(std::make_unique<Ordered>());
  roads.push_back(std::make_unique<Arrays>());
  roads.push_back(std::make_unique<Mipmapped>());
  roads.push_back(std::make_unique<Modules>());
  roads.push_back(std::make_unique<Libraries>());
  roads.push_back(std::make_unique<Contexts>());
  roads.push_back(std::make_unique<Host>());
}

}  // namespace walk
