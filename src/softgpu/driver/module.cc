#include "softgpu/driver/module.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/log.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/current.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/library.h"
#include "softgpu/driver/load.h"
#include "softgpu/driver/memory.h"
#include "softgpu/driver/texture_reference.h"
#include "softgpu/memory/arena.h"

namespace tessera::softgpu {
class ModuleMemory : public exec::VariableMemory {
 public:
  ModuleMemory(Module& module, ManagedVariables* shared) : module_(module), shared_(shared) {}

  Result<uint64_t> allocate(uint64_t size, uint32_t align, bool managed) override {
    size = std::max<uint64_t>(size, 1);
    if (managed && shared_ != nullptr && next_shared_ < shared_->variables.size()) {
      return shared_->variables[next_shared_++].address;
    }
    uint64_t address = 0;
    const MemoryKind kind = managed ? MemoryKind::kManaged : MemoryKind::kDevice;
    const auto owner = managed && shared_ != nullptr ? MemoryOwner::kLibrary : MemoryOwner::kModule;
    const CUresult result = allocate_device(module_.context(), size, kind, CU_MEM_ATTACH_GLOBAL,
                                            std::max<uint64_t>(align, Arena::kGranularity), owner, &address);
    if (result != CUDA_SUCCESS) {
      return Status::error(Code::kResourceExhausted, "no device memory for a variable of %llu bytes",
                           static_cast<unsigned long long>(size));
    }
    if (owner == MemoryOwner::kLibrary) {
      shared_->variables.push_back({address, size});
      ++next_shared_;
    } else {
      module_.variables_.push_back(address);
    }
    return address;
  }

  uint64_t refer(const std::string& name, bool surface) override {
    if (surface) {
      auto made = make_surface_reference(module_.context());
      module_.surface_references_[name] = made;
      return made->handle();
    }
    auto made = make_texture_reference(module_.context());
    module_.texture_references_[name] = made;
    return made->handle();
  }

 private:
  Module& module_;
  ManagedVariables* const shared_;
  size_t next_shared_ = 0;
};

namespace {

// Linking writes initial values; variables that other modules use already must keep theirs.
class KeptValues {
 public:
  explicit KeptValues(const ManagedVariables* shared) {
    if (shared == nullptr) return;
    for (const auto& variable : shared->variables) {
      const auto* bytes = reinterpret_cast<const std::byte*>(variable.address);
      values_.emplace_back(variable.address, std::vector<std::byte>(bytes, bytes + variable.size));
    }
  }
  ~KeptValues() {
    for (const auto& [address, bytes] : values_)
      memcpy(reinterpret_cast<void*>(address), bytes.data(), bytes.size());
  }
  KeptValues(const KeptValues&) = delete;
  KeptValues& operator=(const KeptValues&) = delete;

 private:
  std::vector<std::pair<uint64_t, std::vector<std::byte>>> values_;
};

}  // namespace

Function::Function(std::shared_ptr<Module> module, std::string name,
                   std::shared_ptr<FunctionSettings> settings)
    : module_(std::move(module)),
      name_(std::move(name)),
      handle_(next_handle()),
      settings_(std::move(settings)) {}

CUresult Function::load(std::shared_ptr<const exec::Kernel>* kernel) {
  std::lock_guard lock(mutex_);
  if (!kernel_) {
    auto loaded = module_->program().kernel(name_);
    if (!loaded.ok()) {
      LOG_ERROR("module", "kernel %s: %s", name_.c_str(), loaded.status().message().c_str());
      return result_of_load(loaded.status());
    }
    kernel_ = std::move(loaded).value();
  }
  *kernel = kernel_;
  return CUDA_SUCCESS;
}

bool Function::loaded() const {
  std::lock_guard lock(mutex_);
  return kernel_ != nullptr;
}

Module::Module(std::shared_ptr<Context> context) : context_(std::move(context)), handle_(next_handle()) {}

CUresult Module::link(Context& context, const ptx::Module& code, ManagedVariables* shared, std::string* log,
                      std::shared_ptr<Module>* module) {
  std::shared_ptr<Module> made(new Module(context.shared_from_this()));
  ModuleMemory memory(*made, shared);
  KeptValues kept(shared);
  auto program = exec::Program::link(code, memory);
  if (!program.ok()) {
    *log = program.status().message();
    made->unload();
    return result_of_load(program.status());
  }
  made->program_ = std::move(program).value();
  made->names_ = made->program_->kernel_names();
  live<Module>().add(made->handle_, made);
  const CUresult loaded = made->load_if_eager();
  if (loaded != CUDA_SUCCESS) {
    live<Module>().remove(made->handle());
    made->unload();
    *log = "a kernel could not be loaded";
    return loaded;
  }
  *module = std::move(made);
  return CUDA_SUCCESS;
}

Module::~Module() = default;

CUresult Module::load_if_eager() {
  if (module_loading_mode() != CU_MODULE_EAGER_LOADING) return CUDA_SUCCESS;
  for (const std::string& name : names_) {
    std::shared_ptr<const exec::Kernel> kernel;
    const CUresult result = function(name)->load(&kernel);
    if (result != CUDA_SUCCESS) return result;
  }
  return CUDA_SUCCESS;
}

void Module::unload() {
  std::unordered_map<std::string, std::shared_ptr<Function>> functions;
  std::vector<uint64_t> variables;
  {
    std::lock_guard lock(mutex_);
    functions.swap(functions_);
    variables.swap(variables_);
  }
  for (const auto& [name, function] : functions) live<Function>().remove(function->handle());
  for (const auto& [name, reference] : texture_references_) forget_reference(*reference);
  for (const auto& [name, reference] : surface_references_) forget_reference(*reference);
  for (uint64_t address : variables) {
    [[maybe_unused]] const CUresult result =
        free_device(address, MemoryOwner::kModule);  // gone already with a context that failed
  }
}

std::shared_ptr<Function> Module::function(const std::string& name,
                                           std::shared_ptr<FunctionSettings> settings) {
  if (std::find(names_.begin(), names_.end(), name) == names_.end()) return nullptr;
  std::lock_guard lock(mutex_);
  std::shared_ptr<Function>& function = functions_[name];
  if (!function) {
    if (!settings) settings = std::make_shared<FunctionSettings>();
    function = std::make_shared<Function>(shared_from_this(), name, std::move(settings));
    live<Function>().add(reinterpret_cast<uintptr_t>(function->handle()), function);
  }
  return function;
}

const exec::Symbol* Module::symbol(const std::string& name) const {
  for (const exec::Symbol& symbol : program_->symbols()) {
    if (symbol.name == name) return &symbol;
  }
  return nullptr;
}

std::shared_ptr<TextureReference> Module::texture_reference(const std::string& name) const {
  const auto found = texture_references_.find(name);
  return found != texture_references_.end() ? found->second : nullptr;
}

std::shared_ptr<SurfaceReference> Module::surface_reference(const std::string& name) const {
  const auto found = surface_references_.find(name);
  return found != surface_references_.end() ? found->second : nullptr;
}

CUmoduleLoadingMode module_loading_mode() {
  static const CUmoduleLoadingMode mode = [] {
    const char* value = getenv("CUDA_MODULE_LOADING");
    return value != nullptr && strcmp(value, "EAGER") == 0 ? CU_MODULE_EAGER_LOADING : CU_MODULE_LAZY_LOADING;
  }();
  return mode;
}

CUresult function_of(CUfunction handle, std::shared_ptr<Function>* function) {
  CUresult result = require_initialised_outside_callback();
  if (result != CUDA_SUCCESS) return result;
  *function = live<Function>().find(handle);
  if (*function) return (*function)->module().context().status();
  auto kernel = live<LibraryKernel>().find(handle);
  if (!kernel) return CUDA_ERROR_INVALID_HANDLE;
  std::shared_ptr<Context> context;
  result = usable_context(&context);
  return result == CUDA_SUCCESS ? kernel->function(*context, function) : result;
}

}  // namespace tessera::softgpu
