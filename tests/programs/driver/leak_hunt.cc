// Memory that a program leaves behind, and a program that looks for it in all the memory that it can get.
//
//   driver_leak_hunt plant ROAD WAY   takes half of the device's memory by one road of allocation, fills it
//   with
//                                     a mark, and leaves it: `free` as the road has it, `destroy` with its
//                                     context, `exit` without a word, `stay` until it is killed.
//   driver_leak_hunt search           takes all memory there is by each road in turn, and looks at every
//   byte. driver_leak_hunt cost ROUNDS      time of taking, filling and freeing memory, in ns for each MiB
//   driver_leak_hunt roads            lists them
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <string>

#include "driver_check.h"
#include "physical.h"

namespace {

constexpr uint32_t kMark = 0x5ec2e7a9;
constexpr size_t kPiece = 2u << 20;
constexpr size_t kWords = kPiece / sizeof(uint32_t);
using Words = std::vector<uint32_t>;

// One piece of memory, taken by some road.
class Piece {
 public:
  virtual ~Piece() = default;
  virtual void mark() { CU_CHECK(cuMemsetD32_v2(address_, kMark, kWords)); }
  virtual void read(Words& words) { CU_CHECK(cuMemcpyDtoH_v2(words.data(), address_, kPiece)); }
  virtual void free() = 0;

 protected:
  CUdeviceptr address_ = 0;
};

template <CUresult (*Take)(CUdeviceptr*, size_t)>
class Linear : public Piece {
 public:
  bool take() { return Take(&address_, kPiece) == CUDA_SUCCESS; }
  void free() override { CU_CHECK(cuMemFree_v2(address_)); }
};

CUresult take_managed(CUdeviceptr* address, size_t bytes) {
  return cuMemAllocManaged(address, bytes, CU_MEM_ATTACH_GLOBAL);
}

// By allocation nodes of graphs, whose memory their device keeps until it is trimmed.
CUresult take_of_graph(CUdeviceptr* address, size_t bytes) {
  CUgraph graph = nullptr;
  CUgraphExec ready = nullptr;
  CUgraphNode node = nullptr;
  CUDA_MEM_ALLOC_NODE_PARAMS parameters{};
  parameters.poolProps.allocType = CU_MEM_ALLOCATION_TYPE_PINNED;
  parameters.poolProps.location = {CU_MEM_LOCATION_TYPE_DEVICE, 0};
  parameters.bytesize = bytes;
  CU_CHECK(cuGraphCreate(&graph, 0));
  CU_CHECK(cuGraphAddMemAllocNode(&node, graph, nullptr, 0, &parameters));
  CU_CHECK(cuGraphInstantiateWithFlags(&ready, graph, 0));
  const CUresult result = cuGraphLaunch(ready, nullptr);
  if (result == CUDA_SUCCESS) CU_CHECK(cuCtxSynchronize());
  *address = parameters.dptr;
  return result;
}

class OfGraph : public Linear<&take_of_graph> {
 public:
  void free() override {
    Linear::free();
    CU_CHECK(cuDeviceGraphMemTrim(0));
  }
};

class OfPool : public Piece {
 public:
  bool take() {
    if (cuMemAllocAsync(&address_, kPiece, nullptr) != CUDA_SUCCESS) return false;
    CU_CHECK(cuStreamSynchronize(nullptr));
    return true;
  }
  void free() override {
    CUmemoryPool pool = nullptr;
    CU_CHECK(cuMemFreeAsync(address_, nullptr));
    CU_CHECK(cuStreamSynchronize(nullptr));
    CU_CHECK(cuDeviceGetDefaultMemPool(&pool, 0));
    CU_CHECK(cuMemPoolTrimTo(pool, 0));
  }
};

class Physical : public Piece {
 public:
  bool take() {
    const CUmemAllocationProp properties = check::physical_properties();
    if (cuMemCreate(&handle_, kPiece, &properties, 0) != CUDA_SUCCESS) return false;
    CU_CHECK(cuMemAddressReserve(&address_, kPiece, 0, 0, 0));
    CU_CHECK(cuMemMap(address_, kPiece, 0, handle_, 0));
    const CUmemAccessDesc access{properties.location, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    CU_CHECK(cuMemSetAccess(address_, kPiece, &access, 1));
    return true;
  }
  void free() override {
    CU_CHECK(cuMemUnmap(address_, kPiece));
    CU_CHECK(cuMemRelease(handle_));
    CU_CHECK(cuMemAddressFree(address_, kPiece));
  }

 private:
  CUmemGenericAllocationHandle handle_ = 0;
};

class Array : public Piece {
 public:
  bool take() {
    CUDA_ARRAY_DESCRIPTOR shape{};
    shape.Width = kWidth;
    shape.Height = kWords / kWidth;
    shape.Format = CU_AD_FORMAT_UNSIGNED_INT32;
    shape.NumChannels = 1;
    return cuArrayCreate_v2(&array_, &shape) == CUDA_SUCCESS;
  }
  void mark() override {
    Words words(kWords, kMark);
    copy(words, true);
  }
  void read(Words& words) override { copy(words, false); }
  void free() override { CU_CHECK(cuArrayDestroy(array_)); }

 private:
  static constexpr size_t kWidth = 1024;
  void copy(Words& words, bool to_array) {
    CUDA_MEMCPY2D box{};
    box.srcMemoryType = to_array ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_ARRAY;
    box.dstMemoryType = to_array ? CU_MEMORYTYPE_ARRAY : CU_MEMORYTYPE_HOST;
    box.srcHost = box.dstHost = words.data();
    box.srcArray = box.dstArray = array_;
    box.srcPitch = box.dstPitch = kWidth * sizeof(uint32_t);
    box.WidthInBytes = kWidth * sizeof(uint32_t);
    box.Height = kWords / kWidth;
    CU_CHECK(cuMemcpy2D_v2(&box));
  }

  CUarray array_ = nullptr;
};

// A variable of a module without an initial value.
class Variable : public Piece {
 public:
  bool take() {
    const std::string image =
        ".version 7.0\n.target sm_70\n.address_size 64\n.visible .global .align 8 .b8 memory[" +
        std::to_string(kPiece) + "];\n";
    if (cuModuleLoadData(&module_, image.c_str()) != CUDA_SUCCESS) return false;
    size_t bytes = 0;
    CU_CHECK(cuModuleGetGlobal_v2(&address_, &bytes, module_, "memory"));
    return true;
  }
  void free() override { CU_CHECK(cuModuleUnload(module_)); }

 private:
  CUmodule module_ = nullptr;
};

// Null where there is no more.
template <typename Kind>
std::unique_ptr<Piece> take() {
  auto piece = std::make_unique<Kind>();
  if (!piece->take()) return nullptr;
  return piece;
}

struct Road {
  const char* name;
  std::unique_ptr<Piece> (*take)();
  bool beyond_device = false;  // may hold more than the device does
};
constexpr Road kRoads[] = {{"linear", &take<Linear<&cuMemAlloc_v2>>},
                           {"pool", &take<OfPool>},
                           {"physical", &take<Physical>},
                           {"array", &take<Array>},
                           {"variable", &take<Variable>},
                           {"graph", &take<OfGraph>},
                           {"managed", &take<Linear<&take_managed>>, true}};

using Pieces = std::vector<std::unique_ptr<Piece>>;

// Of so much memory at most.
Pieces take_all(const Road& road, size_t bytes) {
  Pieces pieces;
  while (pieces.size() < bytes / kPiece) {
    auto piece = road.take();
    if (piece == nullptr) break;
    pieces.push_back(std::move(piece));
  }
  return pieces;
}

size_t device_bytes() {
  size_t free = 0, total = 0;
  CU_CHECK(cuMemGetInfo_v2(&free, &total));
  return total;
}

int plant(const std::string& name, const std::string& way) {
  CUcontext context = nullptr;
  CU_CHECK(cuInit(0));
  CU_CHECK(cuCtxCreate_v2(&context, 0, 0));
  const auto* const road =
      std::find_if(std::begin(kRoads), std::end(kRoads), [&](const Road& r) { return r.name == name; });
  REQUIRE(road != std::end(kRoads), "no road %s", name.c_str());
  Pieces pieces = take_all(*road, device_bytes() / 2);
  REQUIRE(!pieces.empty(), "no memory by %s", road->name);
  Words words(kWords);
  for (const auto& piece : pieces) {
    piece->mark();
    piece->read(words);
    REQUIRE(std::count(words.begin(), words.end(), kMark) == kWords, "%s: it is not marked", road->name);
  }
  if (way == "stay") {
    std::printf("planted %d\n", getpid());
    std::fflush(stdout);
    pause();
  }
  if (way == "free") {
    for (const auto& piece : pieces) piece->free();
  } else if (way == "destroy") {
    CU_CHECK(cuCtxDestroy_v2(context));
  }
  check::pass("%zu MiB by %s, left by %s", pieces.size() * kPiece >> 20, road->name, way.c_str());
  _exit(0);
}

int search() {
  const check::Context context;
  const size_t total = device_bytes();
  Words words(kWords);
  const Words clean(kWords);
  size_t looked = 0;
  for (const Road& road : kRoads) {
    const Pieces pieces = take_all(road, road.beyond_device ? total : 2 * total);
    for (const auto& piece : pieces) {
      piece->read(words);
      if (words == clean) continue;
      const auto marks = std::count(words.begin(), words.end(), kMark);
      const auto strange = std::count_if(words.begin(), words.end(), [](uint32_t word) { return word != 0; });
      check::fail("%s: %zd words of another tenant, %zd that are not zero", road.name, marks, strange);
    }
    looked += pieces.size() * kPiece;
    for (const auto& piece : pieces) piece->free();
    REQUIRE(!pieces.empty(), "%s gives no memory to look at", road.name);
  }
  return check::pass("%zu MiB looked at: none of another tenant's", looked >> 20);
}

// Memory is had, filled and freed, so that it has to be made clean for whoever comes next.
int cost(int rounds) {
  const check::Context context;
  const size_t bytes = device_bytes() / 2;
  double best = 1e18;
  for (int round = 0; round < rounds; ++round) {
    const auto begin = std::chrono::steady_clock::now();
    CUdeviceptr address = 0;
    CU_CHECK(cuMemAlloc_v2(&address, bytes));
    CU_CHECK(cuMemsetD8_v2(address, 1, bytes));
    CU_CHECK(cuMemFree_v2(address));
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    best = std::min(best, took.count());
  }
  return check::pass("%.0f ns a MiB", best / static_cast<double>(bytes >> 20));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "search";
  if (what == "roads") {
    for (const Road& road : kRoads) std::printf("%s\n", road.name);
    return 0;
  }
  if (what == "plant" && argc == 4) return plant(argv[2], argv[3]);
  if (what == "cost" && argc == 3) return cost(std::atoi(argv[2]));
  return search();
}
