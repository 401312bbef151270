// The JIT linker: PTX units linked to one image, from memory and from files; symbols across units, weak
// definitions, and the errors and logs of what cannot be linked.
#include <unistd.h>

#include <cstring>
#include <string>

#include "driver_check.h"

namespace {

const std::string kHeader = ".version 6.4\n.target sm_70\n.address_size 64\n";

// out[i] = apply(n + i) + offset; what is extern comes from another unit.
const std::string kMain = kHeader + R"(
.extern .global .align 4 .u32 offset;
.extern .func (.param .b32 result) apply(.param .b32 x);
.global .align 4 .u32 local_count;
.visible .entry run(.param .u64 out, .param .u32 n) {
  .reg .b32 %i, %x, %y; .reg .b64 %o, %a;
  ld.param.u64 %o, [out]; ld.param.u32 %x, [n];
  mov.u32 %i, %tid.x; add.u32 %x, %x, %i;
  { .param .b32 a; .param .b32 r; st.param.b32 [a], %x; call.uni (r), apply, (a); ld.param.b32 %x, [r]; }
  ld.global.u32 %y, [offset]; add.u32 %x, %x, %y;
  mul.wide.u32 %a, %i, 4; add.u64 %o, %o, %a; st.global.u32 [%o], %x;
  ret;
}
)";
const std::string kDouble = kHeader + R"(
.visible .global .align 4 .u32 offset = 5;
.visible .func (.param .b32 result) apply(.param .b32 x) {
  .reg .b32 %x; ld.param.b32 %x, [x]; shl.b32 %x, %x, 1; st.param.b32 [result], %x; ret;
}
)";
// A weak definition gives way to any other. Its local name is the other unit's too.
const std::string kWeak = kHeader + R"(
.global .align 4 .u32 local_count = 9;
.weak .global .align 4 .u32 offset = 100;
.weak .func (.param .b32 result) apply(.param .b32 x) {
  .reg .b32 %x, %y; ld.param.b32 %x, [x]; ld.global.u32 %y, [local_count]; add.u32 %x, %x, %y;
  st.param.b32 [result], %x; ret;
}
)";

struct Linker {
  Linker() {
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    memcpy(keys, options, sizeof(options));
    values[0] = errors;
    values[1] = reinterpret_cast<void*>(sizeof(errors));
    CU_CHECK(cuLinkCreate_v2(2, keys, values, &state));
  }
  ~Linker() { (void)cuLinkDestroy(state); }
  Linker(const Linker&) = delete;
  Linker& operator=(const Linker&) = delete;

  CUresult add(const std::string& ptx, const char* name) {
    return cuLinkAddData_v2(state, CU_JIT_INPUT_PTX, const_cast<char*>(ptx.c_str()), ptx.size() + 1, name, 0,
                            nullptr, nullptr);
  }
  std::string complete() {
    void* image = nullptr;
    size_t size = 0;
    CU_CHECK(cuLinkComplete(state, &image, &size));
    REQUIRE(image != nullptr && size != 0, "an empty image");
    return {static_cast<const char*>(image), size};
  }
  void require_log(const char* text) const {
    REQUIRE(strstr(errors, text) != nullptr, "the log does not speak of '%s': %s", text, errors);
    REQUIRE(reinterpret_cast<uintptr_t>(values[1]) == strlen(errors), "the log's length is wrong");
  }

  CUlinkState state = nullptr;
  CUjit_option keys[2];
  void* values[2];
  char errors[512] = "";
};

void require_results(CUmodule module, uint32_t factor, uint32_t addend) {
  constexpr unsigned kThreads = 40;
  constexpr uint32_t kStart = 7;
  CUfunction function = nullptr;
  CU_CHECK(cuModuleGetFunction(&function, module, "run"));
  const check::DeviceArray<uint32_t> out(kThreads);
  check::launch(function, {1}, {kThreads}, nullptr, out.get(), kStart);
  std::vector<uint32_t> want(kThreads);
  for (uint32_t i = 0; i < kThreads; ++i) want[i] = (kStart + i) * factor + addend;
  check::require_equal(out.download(), want, "linked code");
}

void require_results(const std::string& image, uint32_t factor, uint32_t addend) {
  CUmodule module = nullptr;
  CU_CHECK(cuModuleLoadData(&module, image.data()));
  require_results(module, factor, addend);
  CU_CHECK(cuModuleUnload(module));
}

void check_units() {
  Linker linker;
  CU_CHECK(linker.add(kMain, "main"));
  CU_CHECK(linker.add(kDouble, "double"));
  const std::string image = linker.complete();
  require_results(image, 2, 5);
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, linker.add(kWeak, "too late"));
  // The variable of one unit is the one that the other reads.
  CUmodule module = nullptr;
  CU_CHECK(cuModuleLoadData(&module, image.data()));
  CUdeviceptr offset = 0;
  size_t bytes = 0;
  CU_CHECK(cuModuleGetGlobal_v2(&offset, &bytes, module, "offset"));
  REQUIRE(bytes == sizeof(uint32_t), "a variable of %zu bytes", bytes);
  CU_CHECK(cuMemsetD32_v2(offset, 1000, 1));
  require_results(module, 2, 1000);
  CU_CHECK(cuModuleUnload(module));
}

void check_weak() {
  for (const bool weak_first : {true, false}) {
    Linker linker;
    CU_CHECK(linker.add(kMain, "main"));
    CU_CHECK(linker.add(weak_first ? kWeak : kDouble, "first"));
    CU_CHECK(linker.add(weak_first ? kDouble : kWeak, "second"));
    require_results(linker.complete(), 2, 5);
  }
  Linker alone;
  CU_CHECK(alone.add(kWeak, "weak"));
  CU_CHECK(alone.add(kMain, "main"));
  require_results(alone.complete(), 1, 109);
}

// An image may be an input of a further link, as a cubin or as a fat binary, from memory or from a file.
void check_images() {
  Linker first;
  CU_CHECK(first.add(kDouble, "double"));
  const std::string image = first.complete();
  for (const CUjitInputType type : {CU_JIT_INPUT_CUBIN, CU_JIT_INPUT_FATBINARY}) {
    Linker second;
    CU_CHECK(second.add(kMain, "main"));
    CU_CHECK(cuLinkAddData_v2(second.state, type, const_cast<char*>(image.data()), image.size(), "image", 0,
                              nullptr, nullptr));
    require_results(second.complete(), 2, 5);
  }
  char path[] = "/tmp/linker_XXXXXX";
  const int file = mkstemp(path);
  REQUIRE(file >= 0, "no file");
  REQUIRE(write(file, kMain.data(), kMain.size()) == static_cast<ssize_t>(kMain.size()), "not written");
  close(file);
  Linker third;
  CU_CHECK(cuLinkAddFile_v2(third.state, CU_JIT_INPUT_PTX, path, 0, nullptr, nullptr));
  CU_CHECK(third.add(kDouble, "double"));
  require_results(third.complete(), 2, 5);
  unlink(path);
  CU_EXPECT(CUDA_ERROR_FILE_NOT_FOUND,
            cuLinkAddFile_v2(first.state, CU_JIT_INPUT_PTX, path, 0, nullptr, nullptr));
}

void check_refusals() {
  Linker twice;
  CU_CHECK(twice.add(kDouble, "one"));
  CU_EXPECT(CUDA_ERROR_INVALID_SOURCE, twice.add(kDouble, "the other"));
  twice.require_log("defined twice");
  CU_CHECK(twice.add(kMain, "main"));  // the refused input left nothing behind
  require_results(twice.complete(), 2, 5);

  Linker undefined;
  CU_CHECK(undefined.add(kMain, "main"));
  void* image = nullptr;
  size_t size = 0;
  CU_EXPECT(CUDA_ERROR_INVALID_SOURCE, cuLinkComplete(undefined.state, &image, &size));
  undefined.require_log("apply");
  undefined.require_log("offset");

  Linker damaged;
  CU_EXPECT(CUDA_ERROR_INVALID_PTX, damaged.add(kHeader + ".visible .entry k() { frob }", "damaged"));
  damaged.require_log("damaged");
  const char elf[64] =
      "\x7f"
      "ELF";
  CU_EXPECT(CUDA_ERROR_NO_BINARY_FOR_GPU,
            cuLinkAddData_v2(damaged.state, CU_JIT_INPUT_CUBIN, const_cast<char*>(elf), sizeof(elf), "cubin",
                             0, nullptr, nullptr));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuLinkComplete(damaged.state, &image, &size));  // nothing was added

  CU_EXPECT(CUDA_ERROR_INVALID_HANDLE, cuLinkComplete(nullptr, &image, &size));
  CUlinkState state = nullptr;
  CUjit_option option = CU_JIT_OPTIMIZATION_LEVEL;
  void* level = reinterpret_cast<void*>(uintptr_t{5});
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuLinkCreate_v2(1, &option, &level, &state));
  CU_EXPECT(CUDA_ERROR_INVALID_VALUE, cuLinkCreate_v2(1, nullptr, nullptr, &state));
}

// The JIT's logs of a module: cut to the size given, and empty after a success.
void check_module_logs() {
  char errors[16], info[16];
  memset(errors, 'x', sizeof(errors));
  memset(info, 'x', sizeof(info));
  CUjit_option keys[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES, CU_JIT_INFO_LOG_BUFFER,
                         CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES};
  void* values[] = {errors, reinterpret_cast<void*>(uintptr_t{8}), info,
                    reinterpret_cast<void*>(sizeof(info))};
  CUmodule module = nullptr;
  const std::string bad = kHeader + ".visible .entry k() { frob }";
  CU_EXPECT(CUDA_ERROR_INVALID_PTX, cuModuleLoadDataEx(&module, bad.c_str(), 4, keys, values));
  REQUIRE(strlen(errors) == 7 && errors[8] == 'x', "the log was not cut to 8 bytes");
  REQUIRE(reinterpret_cast<uintptr_t>(values[1]) == 7, "the length told is not 7");
  values[1] = values[3] = reinterpret_cast<void*>(sizeof(info));
  CU_CHECK(cuModuleLoadDataEx(&module, kDouble.c_str(), 4, keys, values));
  REQUIRE(errors[0] == '\0' && info[0] == '\0', "something in the logs of a success");
  CU_CHECK(cuModuleUnload(module));
}

}  // namespace

int main() {
  const check::Context context;
  check_units();
  check_weak();
  check_images();
  check_refusals();
  check_module_logs();
  return check::pass("units, weak symbols, images and files linked; refusals told in the logs");
}
