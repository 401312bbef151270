#include "softgpu/driver/module.h"

#include <algorithm>

#include "common/log.h"
#include "softgpu/driver/context.h"
#include "softgpu/driver/current.h"
#include "softgpu/driver/device.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/library.h"
#include "softgpu/driver/load.h"
#include "softgpu/driver/memory.h"
#include "softgpu/memory/arena.h"

namespace tessera::softgpu {
namespace {

class ModuleMemory : public exec::VariableMemory {
 public:
  ModuleMemory(Context& context, std::vector<uint64_t>& variables)
      : context_(context), variables_(variables) {}

  Result<uint64_t> allocate(uint64_t size, uint32_t align, bool managed) override {
    uint64_t address = 0;
    const MemoryKind kind = managed ? MemoryKind::kManaged : MemoryKind::kDevice;
    const CUresult result = allocate_device(context_, std::max<uint64_t>(size, 1), kind, CU_MEM_ATTACH_GLOBAL,
                                            std::max<uint64_t>(align, Arena::kGranularity), true, &address);
    if (result != CUDA_SUCCESS) {
      return Status::error(Code::kResourceExhausted, "no device memory for a variable of %llu bytes",
                           static_cast<unsigned long long>(size));
    }
    variables_.push_back(address);
    return address;
  }

 private:
  Context& context_;
  std::vector<uint64_t>& variables_;
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

CUresult Module::link(Context& context, const ptx::Module& code, std::string* log,
                      std::shared_ptr<Module>* module) {
  std::shared_ptr<Module> made(new Module(context.shared_from_this()));
  ModuleMemory memory(context, made->variables_);
  auto program = exec::Program::link(code, memory);
  if (!program.ok()) {
    *log = program.status().message();
    made->unload();
    return result_of_load(program.status());
  }
  made->program_ = std::move(program).value();
  made->names_ = made->program_->kernel_names();
  live<Module>().add(made->handle_, made);
  *module = std::move(made);
  return CUDA_SUCCESS;
}

Module::~Module() = default;

void Module::unload() {
  std::unordered_map<std::string, std::shared_ptr<Function>> functions;
  std::vector<uint64_t> variables;
  {
    std::lock_guard lock(mutex_);
    functions.swap(functions_);
    variables.swap(variables_);
  }
  for (const auto& [name, function] : functions) live<Function>().remove(function->handle());
  for (uint64_t address : variables) {
    [[maybe_unused]] const CUresult result =
        free_device(address, true);  // gone already with a context that failed
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
