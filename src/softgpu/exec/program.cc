// Program: kernels decoded at first use.
#include <algorithm>
#include <map>
#include <mutex>

#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/program_image.h"
#include "softgpu/exec/reachable.h"

namespace tessera::softgpu::exec {
namespace {

uint32_t binary_version(const std::string& target) {
  uint32_t version = 0;
  for (const char c : target) {
    if (c >= '0' && c <= '9' && version < 1000) version = version * 10 + static_cast<uint32_t>(c - '0');
  }
  return version;
}

KernelInfo make_info(const ptx::Module& module, const ptx::Function& function, const Reachable& reachable,
                     const DecodedKernel& kernel) {
  KernelInfo info = reachable.needs;
  info.name = function.name;
  info.parameters = parameter_layout(function, &info.parameter_bytes);
  info.static_shared_bytes = reachable.shared.static_bytes;
  uint32_t live = 0;
  for (const DecodedFunction& decoded : kernel.functions) {
    info.local_bytes_per_thread += decoded.local_bytes;
    live = std::max(live, decoded.live_registers);
  }
  // A hardware compiler also keeps addresses and constants in registers.
  info.registers_per_thread = std::clamp(live + 8, 16u, 255u);
  if (function.max_registers != 0)
    info.registers_per_thread = std::min(info.registers_per_thread, std::max(function.max_registers, 16u));
  const uint64_t declared = uint64_t{std::max(function.max_ntid[0], 1u)} *
                            std::max(function.max_ntid[1], 1u) * std::max(function.max_ntid[2], 1u);
  const uint64_t required = uint64_t{std::max(function.required_ntid[0], 1u)} *
                            std::max(function.required_ntid[1], 1u) * std::max(function.required_ntid[2], 1u);
  if (function.max_ntid[0] != 0)
    info.max_threads_per_block = static_cast<uint32_t>(std::min<uint64_t>(declared, 1024));
  if (function.required_ntid[0] != 0)
    info.max_threads_per_block = static_cast<uint32_t>(std::min<uint64_t>(required, 1024));
  for (size_t i = 0; i < 3; ++i) {
    info.required_block[i] = function.required_ntid[0] != 0 ? std::max(function.required_ntid[i], 1u) : 0;
  }
  for (size_t i = 0; i < 3; ++i) {
    info.required_cluster[i] =
        function.required_cluster[0] != 0 ? std::max(function.required_cluster[i], 1u) : 0;
  }
  info.max_cluster_blocks = function.max_cluster_rank;
  info.explicit_cluster = function.explicit_cluster;
  info.min_ctas_per_sm = function.min_ctas_per_sm;
  info.binary_version = binary_version(module.target);
  info.ptx_version = info.binary_version;
  return info;
}

class LinkedProgram final : public Program, public std::enable_shared_from_this<LinkedProgram> {
 public:
  explicit LinkedProgram(std::shared_ptr<ProgramImage> image) : image_(std::move(image)) {}

  std::vector<std::string> kernel_names() const override {
    std::vector<std::string> names;
    for (const ptx::Function& function : image_->module().functions) {
      if (function.entry && function.defined) names.push_back(function.name);
    }
    return names;
  }

  Result<std::shared_ptr<const Kernel>> kernel(const std::string& name) override {
    std::lock_guard lock(mutex_);
    if (const auto known = kernels_.find(name); known != kernels_.end())
      return std::shared_ptr<const Kernel>(known->second);
    const ptx::Function* function = image_->function(name);
    if (function == nullptr || !function->entry || !function->defined)
      return Status::error(Code::kNotFound, "no kernel named '%s'", name.c_str());
    TESSERA_ASSIGN_OR_RETURN(std::shared_ptr<const DecodedKernel> kernel, decode(*function));
    kernels_[name] = kernel;
    return std::shared_ptr<const Kernel>(std::move(kernel));
  }

  const std::vector<Symbol>& symbols() const override { return image_->symbols(); }

 private:
  Result<std::shared_ptr<const DecodedKernel>> decode(const ptx::Function& entry) {
    TESSERA_ASSIGN_OR_RETURN(const Reachable reachable, find_reachable(*image_, entry));
    auto kernel = std::make_shared<DecodedKernel>();
    kernel->owner = image_;
    kernel->program = weak_from_this();
    kernel->token_base = image_->token_base();
    kernel->function_of_token.assign(image_->module().functions.size(), -1);
    kernel->functions.resize(reachable.functions.size());
    for (size_t i = 0; i < reachable.functions.size(); ++i) {
      const ptx::Function& function = *reachable.functions[i];
      TESSERA_RETURN_IF_ERROR(FunctionDecoder(*image_, reachable, function).decode(kernel->functions[i]));
      if (!function.entry)
        kernel->function_of_token[image_->function_index(function)] = static_cast<int32_t>(i);
    }
    const auto reserved = [](const Environment& e) {
      return e.special >= Special::kReservedBegin && e.special <= Special::kReservedEnd;
    };
    for (const DecodedFunction& function : kernel->functions) {
      if (std::any_of(function.environment.begin(), function.environment.end(), reserved))
        kernel->reserved_shared_bytes = kReservedSharedBytes;
    }
    kernel->dynamic_shared_offset = reachable.shared.dynamic_offset;
    kernel->kernel_info = make_info(image_->module(), entry, reachable, *kernel);
    return std::shared_ptr<const DecodedKernel>(std::move(kernel));
  }

  const std::shared_ptr<ProgramImage> image_;
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const DecodedKernel>> kernels_;
};

}  // namespace

Result<std::shared_ptr<const Kernel>> DecodedKernel::kernel_at(uint64_t pointer) const {
  const uint64_t distance = pointer - token_base;
  const auto& known = owner->module().functions;
  const auto of_program = program.lock();
  if (of_program == nullptr || distance % kTokenStride != 0 || distance / kTokenStride >= known.size())
    return Status(Code::kInvalidArgument, "the pointer is no function's");
  return of_program->kernel(known[distance / kTokenStride].name);
}

Result<std::shared_ptr<Program>> Program::link(ptx::Module module, VariableMemory& memory) {
  TESSERA_ASSIGN_OR_RETURN(std::shared_ptr<ProgramImage> image,
                           ProgramImage::create(std::move(module), memory));
  return std::shared_ptr<Program>(std::make_shared<LinkedProgram>(std::move(image)));
}

}  // namespace tessera::softgpu::exec
