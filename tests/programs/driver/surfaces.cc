// Surface objects: loads and stores by PTX, what creation refuses, and the faults of a coordinate outside, of
// a misaligned one and of a handle that names no surface, each in a context of its own.
#include <string>

#include "driver_check.h"

namespace {

constexpr unsigned kWidth = 32, kHeight = 7;

// A kernel of one thread per texel of 64 bits: %x its place in bytes and %y its row.
std::string kernel(const std::string& name, const std::string& body) {
  return ".visible .entry " + name + R"((.param .u64 surface, .param .u64 other) {
  .reg .b32 %x, %y; .reg .b64 %s, %o, %d<2>; .reg .b32 %r<4>; .reg .b16 %h<4>;
  ld.param.u64 %s, [surface]; ld.param.u64 %o, [other];
  mov.u32 %x, %tid.x; shl.b32 %x, %x, 3; mov.u32 %y, %ctaid.x;
)" + body +
         "\nret;\n}\n";
}

std::string source() {
  return ".version 6.4\n.target sm_70\n.address_size 64\n" +
         // The halves of each texel change places; then so do the bytes of the lower one.
         kernel("swap", R"(
  suld.b.2d.v2.b32.trap {%r0, %r1}, [%s, {%x, %y}];
  sust.b.2d.v2.b32.trap [%o, {%x, %y}], {%r1, %r0};
  suld.b.2d.v4.b8.clamp {%h0, %h1, %h2, %h3}, [%o, {%x, %y}];
  sust.b.2d.v4.b8.clamp [%o, {%x, %y}], {%h3, %h2, %h1, %h0};)") +
         kernel("add_64", R"(
  suld.b.2d.b64.trap {%d0}, [%s, {%x, %y}];
  add.u64 %d0, %d0, 1;
  sust.b.2d.b64.trap [%o, {%x, %y}], {%d0};)") +
         kernel("outside", "add.u32 %x, %x, 8; suld.b.2d.b64.trap {%d0}, [%s, {%x, %y}];") +
         kernel("misaligned", "add.u32 %x, %x, 4; suld.b.2d.b64.zero {%d0}, [%s, {%x, %y}];") +
         kernel("geometry", "suld.b.1d.b64.zero {%d0}, [%s, {%x}];");
}

class Surface {
 public:
  explicit Surface(const std::vector<uint64_t>& values) {
    const CUDA_ARRAY3D_DESCRIPTOR d{
        kWidth, kHeight, 0, CU_AD_FORMAT_UNSIGNED_INT32, 2, CUDA_ARRAY3D_SURFACE_LDST};
    CU_CHECK(cuArray3DCreate_v2(&array_, &d));
    CUDA_MEMCPY2D copy = whole();
    copy.srcMemoryType = CU_MEMORYTYPE_HOST;
    copy.srcHost = values.data();
    copy.srcPitch = copy.WidthInBytes;
    copy.dstMemoryType = CU_MEMORYTYPE_ARRAY;
    copy.dstArray = array_;
    CU_CHECK(cuMemcpy2D_v2(&copy));
    const CUDA_RESOURCE_DESC resource = of_array(array_);
    CU_CHECK(cuSurfObjectCreate(&object_, &resource));
  }
  Surface(const Surface&) = delete;
  Surface& operator=(const Surface&) = delete;
  void destroy() {
    CU_CHECK(cuSurfObjectDestroy(object_));
    CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuSurfObjectDestroy(object_));
    CU_CHECK(cuArrayDestroy(array_));
  }
  static CUDA_RESOURCE_DESC of_array(CUarray array) {
    CUDA_RESOURCE_DESC d{};
    d.resType = CU_RESOURCE_TYPE_ARRAY;
    d.res.array.hArray = array;
    return d;
  }
  CUsurfObject get() const { return object_; }
  CUarray array() const { return array_; }
  std::vector<uint64_t> download() const {
    std::vector<uint64_t> values(kWidth * kHeight);
    CUDA_MEMCPY2D copy = whole();
    copy.srcMemoryType = CU_MEMORYTYPE_ARRAY;
    copy.srcArray = array_;
    copy.dstMemoryType = CU_MEMORYTYPE_HOST;
    copy.dstHost = values.data();
    copy.dstPitch = copy.WidthInBytes;
    CU_CHECK(cuMemcpy2D_v2(&copy));
    return values;
  }

 private:
  static CUDA_MEMCPY2D whole() {
    CUDA_MEMCPY2D copy{};
    copy.WidthInBytes = kWidth * sizeof(uint64_t);
    copy.Height = kHeight;
    return copy;
  }
  CUarray array_ = nullptr;
  CUsurfObject object_ = 0;
};

void loads_and_stores(const check::Module& module) {
  const auto values = check::random_integers<uint64_t>(kWidth * kHeight, 1);
  Surface from(values), to(values);
  check::launch(module.function("swap"), {kHeight}, {kWidth}, nullptr, from.get(), to.get());
  CU_CHECK(cuCtxSynchronize());
  std::vector<uint64_t> expected;
  for (const uint64_t value : values)
    expected.push_back(uint64_t{__builtin_bswap32(static_cast<uint32_t>(value >> 32))} | value << 32);
  check::require_equal(to.download(), expected, "halves and bytes");
  check::launch(module.function("add_64"), {kHeight}, {kWidth}, nullptr, from.get(), to.get());
  CU_CHECK(cuCtxSynchronize());
  expected.clear();
  for (const uint64_t value : values) expected.push_back(value + 1);
  check::require_equal(to.download(), expected, "64 bits");
  from.destroy();
  to.destroy();
}

void creation() {
  Surface surface(std::vector<uint64_t>(kWidth * kHeight));
  CUDA_RESOURCE_DESC told{};
  CU_CHECK(cuSurfObjectGetResourceDesc(&told, surface.get()));
  REQUIRE(told.resType == CU_RESOURCE_TYPE_ARRAY && told.res.array.hArray == surface.array(),
          "the resource has changed");
  CUtexObject no_texture = surface.get();
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuTexObjectDestroy(no_texture));

  CUsurfObject object = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuSurfObjectCreate(&object, nullptr));
  const CUDA_ARRAY3D_DESCRIPTOR d{kWidth, kHeight, 0, CU_AD_FORMAT_FLOAT, 1, 0};
  CUarray plain = nullptr;
  CU_CHECK(cuArray3DCreate_v2(&plain, &d));
  CUDA_RESOURCE_DESC resource = Surface::of_array(plain);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuSurfObjectCreate(&object, &resource));
  CU_CHECK(cuArrayDestroy(plain));
  check::DeviceArray<float> memory(128);
  resource.resType = CU_RESOURCE_TYPE_LINEAR;
  resource.res.linear = {memory.get(), CU_AD_FORMAT_FLOAT, 1, memory.bytes()};
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuSurfObjectCreate(&object, &resource));
  surface.destroy();
}

void fault(const char* name, CUresult expected, bool bad_handle = false) {
  check::Context context;
  const check::Module module(source().c_str());
  Surface surface(std::vector<uint64_t>(kWidth * kHeight));
  const CUsurfObject handle = bad_handle ? 0xDEADBEEF : surface.get();
  check::launch(module.function(name), {kHeight}, {kWidth}, nullptr, handle, handle);
  CU_EXPECT(expected, cuCtxSynchronize());
}

}  // namespace

int main() {
  {
    check::Context context;
    const check::Module module(source().c_str());
    loads_and_stores(module);
    creation();
  }
  fault("outside", CUDA_ERROR_ILLEGAL_ADDRESS);
  fault("misaligned", CUDA_ERROR_MISALIGNED_ADDRESS);
  fault("geometry", CUDA_ERROR_ILLEGAL_ADDRESS);
  fault("add_64", CUDA_ERROR_ILLEGAL_ADDRESS, true);
  return 0;
}
