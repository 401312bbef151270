// Modules, libraries, the linker, and the functions in them.
#include <cstring>
#include <map>
#include <memory>

#include "cuda/code_image.h"
#include "remote/worker/own_calls.h"
#include "remote/worker/worker.h"

namespace tessera::remote {
namespace {

constexpr uint32_t kMostOptions = 64;
constexpr uint64_t kMostLogBytes = 1 << 20;

// Options whose values are numbers. Those of others are addresses, or may be: the driver would read and write
// there.
bool is_number(CUjit_option option) {
  return option <= CU_JIT_WALL_TIME ||
         (option >= CU_JIT_OPTIMIZATION_LEVEL && option <= CU_JIT_FAST_COMPILE) ||
         (option >= CU_JIT_LTO && option <= CU_JIT_FMA) ||
         (option >= CU_JIT_OPTIMIZE_UNUSED_DEVICE_VARIABLES && option < CU_JIT_NUM_OPTIONS);
}

// Options of the JIT as they came: buffers for logs lie here and go back with the answer.
struct JitOptions {
  uint64_t count = 0;
  CUjit_option* options = nullptr;
  void** values = nullptr;
  int info = -1, info_size = -1, error = -1, error_size = -1;

  bool read(Serving& s) {
    uint64_t values_count = 0;
    options = s.in.array<CUjit_option>(&count);
    auto* numbers = s.in.array<uint64_t>(&values_count);
    if (s.in.failed() || count != values_count || count > kMostOptions) return false;
    values = s.arena.array<void*>(count);
    if (values == nullptr) return false;
    for (uint64_t i = 0; i < count; ++i) {
      values[i] = reinterpret_cast<void*>(numbers[i]);
      if (!is_number(options[i]) && !note_log(options[i], static_cast<int>(i))) return false;
    }
    return place(s, info, info_size) && place(s, error, error_size);
  }
  // A buffer that is named twice would be replaced once.
  bool note_log(CUjit_option option, int index) {
    int* const found = option == CU_JIT_INFO_LOG_BUFFER               ? &info
                       : option == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES  ? &info_size
                       : option == CU_JIT_ERROR_LOG_BUFFER            ? &error
                       : option == CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES ? &error_size
                                                                      : nullptr;
    if (found == nullptr || *found >= 0) return false;
    *found = index;
    return true;
  }
  // A buffer of ours in the place of the program's.
  bool place(Serving& s, int buffer, int size) {
    if (buffer < 0 || values[buffer] == nullptr) return true;
    const uint64_t bytes =
        size < 0 ? 0 : std::min<uint64_t>((uint64_t)values[size] & 0xffffffff, kMostLogBytes);
    if (size >= 0) values[size] = reinterpret_cast<void*>(bytes);
    values[buffer] = s.arena.array<char>(std::max<uint64_t>(bytes, 1));
    return values[buffer] != nullptr;
  }
  void give(Serving& s) const {
    give_log(s, info, info_size);
    give_log(s, error, error_size);
  }
  void give_log(Serving& s, int buffer, int size) const {
    const bool has = buffer >= 0 && size >= 0 && values[buffer] != nullptr;
    const auto* text = has ? static_cast<const char*>(values[buffer]) : nullptr;
    s.out.array(text, has ? strnlen(text, std::min<uint64_t>((uint64_t)values[size] + 1, kMostLogBytes)) : 0);
  }
};

// Device code that follows the message.
struct ReceivedImage {
  std::vector<std::byte> bytes;
  cuda::CodeImage image;

  // Reads the sizes of the pieces from the message, the pieces from the stream.
  Status read(Serving& s, uint32_t form, const uint64_t* sizes, uint64_t count) {
    uint64_t total = 0;
    for (uint64_t i = 0; i < count; ++i) {
      if (sizes[i] == 0 || sizes[i] > kMaxImageBytes - total)
        return Status(Code::kInvalidData, "code is too large");
      total += sizes[i];
    }
    bytes.resize(padded(total));
    TESSERA_RETURN_IF_ERROR(s.read_payload(bytes));
    image.form = static_cast<cuda::CodeImage::Form>(form);
    uint64_t at = 0;
    for (uint64_t i = 0; i < count; ++i) {
      image.pieces.emplace_back(bytes.data() + at, sizes[i]);
      at += sizes[i];
    }
    return Status();
  }
  bool is_sound() const {
    const bool one = image.form != cuda::CodeImage::Form::kUnits;
    if (static_cast<uint32_t>(image.form) > 2 || image.pieces.size() > cuda::kMaxCodeUnits) return false;
    if (one && image.pieces.size() != 1) return false;
    return std::all_of(image.pieces.begin(), image.pieces.end(), cuda::is_whole_code);
  }
};

// Fields: the form of the image, sizes of its pieces, JIT options. The image follows.
template <typename Load>
CUresult load_image(Serving& s, Load load) {
  const auto form = s.in.value<uint32_t>();
  uint64_t count = 0;
  auto* sizes = s.in.array<uint64_t>(&count);
  JitOptions options;
  const bool has_options = options.read(s);
  if (!s.in.whole()) return s.malformed();
  ReceivedImage received;
  if (!received.read(s, form, sizes, count).ok()) return s.malformed();
  if (!has_options) return CUDA_ERROR_NOT_SUPPORTED;
  if (!received.is_sound()) return CUDA_ERROR_INVALID_IMAGE;
  const cuda::RebuiltImage image(received.image);
  const CUresult result = load(image.get(), options);
  options.give(s);
  return result;
}

CUresult module_load(Serving& s) {
  return load_image(s, [&](const void* image, const JitOptions& options) {
    CUmodule module = nullptr;
    const CUresult result = s.table.cuModuleLoadDataEx(&module, image, static_cast<unsigned>(options.count),
                                                       options.options, options.values);
    s.give_handles(HandleKind::kCUmodule, &module, 1, 0);
    return result;
  });
}

CUresult library_load(Serving& s) {
  return load_image(s, [&](const void* image, const JitOptions& options) {
    CUlibrary library = nullptr;
    const CUresult result =
        s.table.cuLibraryLoadData(&library, image, options.options, options.values,
                                  static_cast<unsigned>(options.count), nullptr, nullptr, 0);
    s.give_handles(HandleKind::kCUlibrary, &library, 1, 0);
    return result;
  });
}

void give_info(Serving& s, uint64_t id, void* handle, bool is_kernel) {
  const FunctionInfo* info = s.worker.code().learn(id, handle, is_kernel);
  const bool can_ask =
      is_kernel ? s.table.cuKernelGetParamInfo != nullptr : s.table.cuFuncGetParamInfo != nullptr;
  s.out.value<uint32_t>(can_ask ? 1 : 0);
  s.out.array(info->parameters.data(), info->parameters.size());
}

CUresult module_get_function(Serving& s) {
  const auto module_id = s.in.value<uint64_t>();
  const auto module = s.handle<CUmodule>(HandleKind::kCUmodule, module_id);
  const char* name = s.in.text();
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  CUfunction function = nullptr;
  const CUresult result = s.table.cuModuleGetFunction(&function, module, name);
  if (result != CUDA_SUCCESS) return result;
  const uint64_t id = s.id_of(HandleKind::kCUfunction, (uint64_t)function, module_id);
  s.out.value(id);
  give_info(s, id, function, false);
  return result;
}

CUresult library_get_kernel(Serving& s) {
  const auto library_id = s.in.value<uint64_t>();
  const auto library = s.handle<CUlibrary>(HandleKind::kCUlibrary, library_id);
  const char* name = s.in.text();
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  CUkernel kernel = nullptr;
  const CUresult result = s.table.cuLibraryGetKernel(&kernel, library, name);
  if (result != CUDA_SUCCESS) return result;
  const uint64_t id = s.id_of(HandleKind::kCUkernel, (uint64_t)kernel, library_id);
  s.out.value(id);
  give_info(s, id, kernel, true);
  return result;
}

CUresult function_info(Serving& s) {
  const auto id = s.in.value<uint64_t>();
  const auto function = s.handle<CUfunction>(HandleKind::kCUfunction, id);
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
  give_info(s, id, function, kind_of(id) == HandleKind::kCUkernel);
  return CUDA_SUCCESS;
}

CUresult name_of(Serving& s) {
  const auto id = s.in.value<uint64_t>();
  const auto function = s.handle<CUfunction>(HandleKind::kCUfunction, id);
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  const char* name = nullptr;
  const bool is_kernel = kind_of(id) == HandleKind::kCUkernel;
  if (is_kernel ? s.table.cuKernelGetName == nullptr : s.table.cuFuncGetName == nullptr) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  const CUresult result =
      is_kernel ? s.table.cuKernelGetName(&name, (CUkernel)function) : s.table.cuFuncGetName(&name, function);
  s.out.text(result == CUDA_SUCCESS ? name : nullptr);
  return result;
}

// A variable that the host may use, too: the client has memory of its own for it.
template <typename Find>
CUresult find_variable(Serving& s, Find find) {
  CUdeviceptr address = 0;
  size_t bytes = 0;
  const CUresult result = find(&address, &bytes);
  uint32_t is_managed = 0;
  if (result == CUDA_SUCCESS && s.table.cuPointerGetAttribute != nullptr) {
    (void)s.table.cuPointerGetAttribute(&is_managed, CU_POINTER_ATTRIBUTE_IS_MANAGED, address);
  }
  s.out.value(address);
  s.out.value<uint64_t>(bytes);
  s.out.value(is_managed);
  if (is_managed == 0 || result != CUDA_SUCCESS) return result;
  (void)s.worker.mirrors().add_managed(address, bytes);  // known from an earlier call
  s.out.array(reinterpret_cast<const std::byte*>(address), bytes);
  return result;
}

// Its managed variables go with it.
template <Op kOp>
CUresult unload(Serving& s) {
  const CUresult result = kServes[static_cast<size_t>(kOp)](s);
  if (result == CUDA_SUCCESS) s.worker.mirrors().forget_gone_managed();
  return result;
}

CUresult module_get_global(Serving& s) {
  const auto module = s.handle<CUmodule>(HandleKind::kCUmodule, s.in.value<uint64_t>());
  const char* name = s.in.text();
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  return find_variable(s, [&](CUdeviceptr* address, size_t* bytes) {
    return s.table.cuModuleGetGlobal_v2(address, bytes, module, name);
  });
}

CUresult library_get_managed(Serving& s) {
  const auto library = s.handle<CUlibrary>(HandleKind::kCUlibrary, s.in.value<uint64_t>());
  const char* name = s.in.text();
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  return find_variable(s, [&](CUdeviceptr* address, size_t* bytes) {
    return s.table.cuLibraryGetManaged(address, bytes, library, name);
  });
}

// The linker. Its logs grow with each call: they lie here until the link is destroyed, and go with every
// answer.
struct LinkLogs {
  std::vector<char> info, error;
  std::vector<CUjit_option> options;
  std::vector<void*> values;
};

// Used by whoever leads.
std::map<CUlinkState, std::unique_ptr<LinkLogs>>& link_logs() {
  static auto* logs = new std::map<CUlinkState, std::unique_ptr<LinkLogs>>;
  return *logs;
}

void give_link_logs(Serving& s, CUlinkState state) {
  auto found = link_logs().find(state);
  const auto give = [&](const std::vector<char>* log) {
    const bool has = log != nullptr && !log->empty();
    s.out.array(has ? log->data() : nullptr, has ? strnlen(log->data(), log->size()) : 0);
  };
  give(found == link_logs().end() ? nullptr : &found->second->info);
  give(found == link_logs().end() ? nullptr : &found->second->error);
}

// Fields: sizes of the program's buffers for information and errors.
CUresult link_create(Serving& s) {
  const auto info_bytes = s.in.value<uint64_t>(), error_bytes = s.in.value<uint64_t>();
  uint64_t count = 0, values = 0;
  const auto* options = s.in.array<CUjit_option>(&count);
  const auto* numbers = s.in.array<uint64_t>(&values);
  const bool is_bounded =
      info_bytes <= kMostLogBytes && error_bytes <= kMostLogBytes && count <= kMostOptions;
  if (!s.in.whole() || !is_bounded || count != values) return s.malformed();
  auto logs = std::make_unique<LinkLogs>();
  logs->info.resize(info_bytes);
  logs->error.resize(error_bytes);
  for (uint64_t i = 0; i < count; ++i) {
    if (!is_number(options[i])) return CUDA_ERROR_NOT_SUPPORTED;
    logs->options.push_back(options[i]);
    logs->values.push_back(reinterpret_cast<void*>(numbers[i]));
  }
  const auto add = [&](std::vector<char>& log, CUjit_option buffer, CUjit_option size) {
    if (log.empty()) return;
    logs->options.insert(logs->options.end(), {buffer, size});
    logs->values.insert(logs->values.end(), {log.data(), reinterpret_cast<void*>(log.size())});
  };
  add(logs->info, CU_JIT_INFO_LOG_BUFFER, CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES);
  add(logs->error, CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
  CUlinkState state = nullptr;
  const CUresult result = s.table.cuLinkCreate_v2(static_cast<unsigned>(logs->options.size()),
                                                  logs->options.data(), logs->values.data(), &state);
  if (result == CUDA_SUCCESS) link_logs()[state] = std::move(logs);
  s.give_handles(HandleKind::kCUlinkState, &state, 1, 0);
  return result;
}

CUresult link_destroy(Serving& s) {
  const auto id = s.in.value<uint64_t>();
  const auto state = s.handle<CUlinkState>(HandleKind::kCUlinkState, id);
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  const CUresult result = s.table.cuLinkDestroy(state);
  if (result == CUDA_SUCCESS) {
    link_logs().erase(state);
    s.handles.forget(id);
  }
  return result;
}

CUresult link_add(Serving& s) {
  const auto state = s.handle<CUlinkState>(HandleKind::kCUlinkState, s.in.value<uint64_t>());
  const auto type = s.in.value<CUjitInputType>();
  const auto size = s.in.value<uint64_t>();
  const char* name = s.in.text();
  if (!s.in.whole() || size > kMaxImageBytes) return s.malformed();
  // A NUL behind what may be text.
  std::vector<std::byte> data(padded(size) + 1);
  if (!s.read_payload(std::span(data).first(padded(size))).ok()) return s.malformed();
  data[size] = std::byte{0};
  if (s.failed != CUDA_SUCCESS) return s.failed;
  const CUresult result = s.table.cuLinkAddData_v2(state, type, data.data(), size, name, 0, nullptr, nullptr);
  give_link_logs(s, state);
  return result;
}

CUresult link_complete(Serving& s) {
  const auto state = s.handle<CUlinkState>(HandleKind::kCUlinkState, s.in.value<uint64_t>());
  if (!s.in.whole()) return s.malformed();
  if (s.failed != CUDA_SUCCESS) return s.failed;
  void* image = nullptr;
  size_t bytes = 0;
  const CUresult result = s.table.cuLinkComplete(state, &image, &bytes);
  give_link_logs(s, state);
  s.out.array(static_cast<const std::byte*>(result == CUDA_SUCCESS ? image : nullptr), bytes);
  return result;
}

}  // namespace

std::span<const OwnCall> code_calls() {
  static constexpr OwnCall kCallsHere[] = {
      own(Op::cuModuleLoadDataEx, module_load),
      own(Op::cuModuleUnload, unload<Op::cuModuleUnload>),
      own(Op::cuLibraryUnload, unload<Op::cuLibraryUnload>),
      own(Op::cuLibraryLoadData, library_load),
      own(Op::cuModuleGetFunction, module_get_function),
      own(Op::cuLibraryGetKernel, library_get_kernel),
      own(Message::kFunctionInfo, function_info),
      own(Op::cuFuncGetName, name_of),
      own(Op::cuModuleGetGlobal_v2, module_get_global),
      own(Op::cuLibraryGetManaged, library_get_managed),
      own(Op::cuLinkCreate_v2, link_create),
      own(Op::cuLinkAddData_v2, link_add),
      own(Op::cuLinkComplete, link_complete),
      own(Op::cuLinkDestroy, link_destroy),
  };
  return kCallsHere;
}

}  // namespace tessera::remote
