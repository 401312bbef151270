// tessera trace replay: what the memory pool makes of a program's allocations.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "cli/commands.h"
#include "common/fd.h"
#include "common/size.h"
#include "memory/simulated_device.h"
#include "memory/trace/replay.h"
#include "node/json.h"

namespace tessera::cli {
namespace {

constexpr uint64_t kMostLogBytes = uint64_t{1} << 30;  // as much as is ever recorded
constexpr uint64_t kMostDevice = uint64_t{64} << 40;   // more than any device has

Result<std::vector<uint8_t>> read_log(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!file || fstat(file.get(), &info) != 0)
    return Status::from_errno(errno, "cannot read %s", path.c_str());
  const auto bytes = static_cast<uint64_t>(info.st_size);
  if (!S_ISREG(info.st_mode) || bytes > kMostLogBytes) {
    return Status::error(Code::kInvalidArgument, "%s is no file of at most %s", path.c_str(),
                         format_size(kMostLogBytes).c_str());
  }
  std::vector<uint8_t> log(bytes);
  size_t have = 0;
  while (have < log.size()) {
    const ssize_t more = read(file.get(), log.data() + have, log.size() - have);
    if (more < 0) return Status::from_errno(errno, "cannot read %s", path.c_str());
    if (more == 0) break;
    have += static_cast<size_t>(more);
  }
  log.resize(have);
  return log;
}

Result<memory::ReplayOutcome> replay_file(const TraceReplayOptions& options) {
  TESSERA_ASSIGN_OR_RETURN(const std::vector<uint8_t> log, read_log(options.file));
  const uint64_t bytes = options.memory_bytes != 0 ? options.memory_bytes : kMostDevice;
  memory::SimulatedDevice device(bytes / memory::SimulatedDevice::kLeastGranularity);
  memory::Pool pool(device);
  return memory::replay(log, pool);
}

}  // namespace

int trace_replay_command(const TraceReplayOptions& options) {
  const Result<memory::ReplayOutcome> outcome = replay_file(options);
  if (!outcome.ok()) {
    print_error("trace replay", outcome.status());
    return kExitFailure;
  }
  const memory::PoolStats& pool = outcome->pool;
  if (options.json) {
    node::Json figures;
    figures["allocations"] = outcome->allocations;
    figures["refused"] = outcome->failed;
    figures["peak_active_bytes"] = pool.peak_active_bytes;
    figures["peak_reserved_bytes"] = pool.peak_reserved_bytes;
    figures["fragmentation"] = outcome->fragmentation();
    figures["granules_moved"] = pool.stitched_granules;
    figures["active_bytes_at_end"] = pool.active_bytes;
    puts(node::json_text(figures, 2).c_str());
    return 0;
  }
  printf(
      "%llu allocations, %llu refused; at most %s in use and %s reserved (%.1f %% of it not in use); %llu "
      "granules "
      "moved; %s in use at the end\n",
      static_cast<unsigned long long>(outcome->allocations), static_cast<unsigned long long>(outcome->failed),
      format_size(pool.peak_active_bytes).c_str(), format_size(pool.peak_reserved_bytes).c_str(),
      100 * outcome->fragmentation(), static_cast<unsigned long long>(pool.stitched_granules),
      format_size(pool.active_bytes).c_str());
  return 0;
}

}  // namespace tessera::cli
