// tessera doctor: what `tessera run` needs, what was found of it, and how to mend what is missing.
#include <sys/statvfs.h>
#include <unistd.h>

#include <cstdio>
#include <vector>

#include "cli/commands.h"
#include "cli/installation.h"
#include "cli/inventory_probe.h"
#include "common/size.h"
#include "common/strings.h"
#include "node/client.h"
#include "node/runtime_path.h"
#include "virtualization/driver_locator.h"

namespace tessera::cli {
namespace {

enum class State { kOk, kNote, kMissing };  // kMissing: `tessera run` would not work
constexpr const char* kStateNames[] = {"ok", "note", "missing"};

struct Check {
  const char* name;
  State state = State::kOk;
  std::string detail;
  std::string remedy;  // empty where nothing is to be done
};

Check check_driver() {
  vgpu::DriverSearch search = vgpu::locate_driver();
  Check check{"driver", State::kOk, "", ""};
  if (!search.driver) {
    check.state = State::kMissing;
    check.detail = search.explanation();
    check.remedy = "install NVIDIA's driver, or build all of Tessera for the software GPU";
    return check;
  }
  check.detail = std::string(vgpu::driver_kind_name(search.driver->kind)) + ": " + search.driver->libcuda;
  return check;
}

// One GPU that is ill leaves the others to work with.
Check check_each(const node::Inventory& inventory) {
  const node::Gpu* first = nullptr;  // of those that work
  size_t working = 0;
  std::string ill;
  for (size_t i = 0; i < inventory.gpus.size(); ++i) {
    const node::Gpu& gpu = inventory.gpus[i];
    if (gpu.problem.empty()) {
      if (working++ == 0) first = &gpu;
      continue;
    }
    ill += str_format("; GPU %zu is %s (%s)", i, gpu.lost ? "lost" : "unavailable", gpu.problem.c_str());
  }
  Check check{"gpus", State::kOk, "", ""};
  check.detail = first == nullptr
                     ? "none that works"
                     : str_format("%zu (%s, %s), driver version %s", working, first->name.c_str(),
                                  format_size(first->total_bytes).c_str(), inventory.driver_version.c_str());
  check.detail += ill;
  if (ill.empty()) return check;
  check.state = first == nullptr ? State::kMissing : State::kNote;
  check.remedy =
      "see the kernel's log for its XID; a lost GPU needs a reset (nvidia-smi --gpu-reset) or a reboot";
  return check;
}

Check check_gpus() {
  auto inventory = probe_inventory();
  Check check{"gpus", State::kMissing, "", ""};
  if (!inventory.ok()) {
    check.detail = inventory.status().message();
    check.remedy = "see 'driver'; with NVIDIA's driver, nvidia-smi must work for this user";
    return check;
  }
  if (inventory->gpus.empty()) {
    check.detail = "the driver has no GPU";
    check.remedy = "look at CUDA_VISIBLE_DEVICES, /dev/nvidia* and, in containers, the devices passed in";
    return check;
  }
  return check_each(*inventory);
}

Check check_card() {
  Check check{"nvidia-card", State::kNote, "no /dev/nvidiactl: the software GPU is used", ""};
  if (access("/dev/nvidiactl", F_OK) != 0) return check;
  if (access("/dev/nvidiactl", R_OK | W_OK) == 0) return {"nvidia-card", State::kOk, "/dev/nvidiactl", ""};
  check.state = State::kMissing;
  check.detail = "/dev/nvidiactl exists, but this user may not open it";
  check.remedy = "give this user access to /dev/nvidia* (its group, or the container's device list)";
  return check;
}

Check check_guest() {
  auto folder = find_guest_folder();
  if (folder.ok()) return {"guest-library", State::kOk, *folder + "/libcuda.so.1", ""};
  return {"guest-library", State::kMissing, folder.status().message(), "run 'make', or install again"};
}

Check check_socket_folder(const std::string& socket) {
  Status status = node::prepare_socket_folder(socket);
  if (status.ok()) return {"socket", State::kOk, socket, ""};
  return {"socket", State::kMissing, status.message(),
          "mend the folder, or set TESSERA_SOCKET to a path in a folder of your own"};
}

Check check_daemon(const std::string& socket) {
  auto client = node::ControlClient::connect(socket);
  if (client.ok()) {
    node::Json request;
    request["op"] = "info";
    auto info = client->ask(request);
    if (!info.ok()) {
      return {"daemon", State::kMissing, info.status().message(), "end tesserad and try again"};
    }
    const std::string http = node::json_string(*info, "http");
    return {"daemon", State::kOk,
            str_format("tesserad %s runs (process %llu)%s%s", node::json_string(*info, "version").c_str(),
                       static_cast<unsigned long long>(node::json_uint(*info, "pid").value_or(0)),
                       http.empty() ? "" : " and answers on http://", http.c_str()),
            ""};
  }
  if (client.status().code() != Code::kUnavailable) {
    return {"daemon", State::kMissing, client.status().message(), "set TESSERA_SOCKET to another path"};
  }
  auto program = find_daemon();
  if (!program.ok()) return {"daemon", State::kMissing, program.status().message(), ""};
  return {"daemon", State::kOk, "none runs; 'tessera run' starts " + *program, ""};
}

Check check_shared_memory() {
  constexpr uint64_t kLittle = 64 * kMiB;
  struct statvfs info {};
  if (statvfs("/dev/shm", &info) != 0) {
    return {"shared-memory", State::kNote, "/dev/shm is not there",
            "mount a tmpfs there if the software GPU is used"};
  }
  uint64_t left = static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
  if (left >= kLittle)
    return {"shared-memory", State::kOk, "/dev/shm has " + format_size(left) + " left", ""};
  return {"shared-memory", State::kNote, "/dev/shm has only " + format_size(left) + " left",
          "enlarge it (docker: --shm-size); CUDA programs and the software GPU use it"};
}

Check check_cgroups() {
  if (access("/sys/fs/cgroup/cgroup.controllers", R_OK) == 0) return {"cgroup", State::kOk, "version 2", ""};
  return {"cgroup", State::kNote, "not version 2; nothing here needs it yet", ""};
}

Check check_nvcc() {
  std::string path = env_or("PATH", "") + ":/usr/local/cuda/bin";
  for (std::string_view folder : split(path, ':')) {
    std::string candidate = std::string(folder) + "/nvcc";
    if (access(candidate.c_str(), X_OK) == 0) return {"nvcc", State::kOk, candidate, ""};
  }
  return {"nvcc", State::kNote, "not found; only building CUDA programs needs it", ""};
}

void print_json(const std::vector<Check>& checks, bool works) {
  node::Json answer;
  answer["ok"] = works;
  answer["checks"] = node::Json::array();
  for (const Check& check : checks) {
    node::Json entry;
    entry["name"] = check.name;
    entry["state"] = kStateNames[static_cast<int>(check.state)];
    entry["detail"] = check.detail;
    entry["remedy"] = check.remedy;
    answer["checks"].push_back(std::move(entry));
  }
  puts(node::json_text(answer, 2).c_str());
}

void print_text(const std::vector<Check>& checks, bool works) {
  for (const Check& check : checks) {
    printf("%-8s %-14s %s\n", kStateNames[static_cast<int>(check.state)], check.name, check.detail.c_str());
    if (!check.remedy.empty()) printf("%-8s %-14s -> %s\n", "", "", check.remedy.c_str());
  }
  puts(works ? "'tessera run' works here." : "'tessera run' does not work here: see what is missing above.");
}

}  // namespace

int doctor_command(const DoctorOptions& options) {
  std::vector<Check> checks = {check_card(),
                               check_driver(),
                               check_gpus(),
                               check_guest(),
                               check_socket_folder(options.socket),
                               check_daemon(options.socket),
                               check_shared_memory(),
                               check_cgroups(),
                               check_nvcc()};
  bool works = true;
  for (const Check& check : checks) works &= check.state != State::kMissing;
  options.json ? print_json(checks, works) : print_text(checks, works);
  return works ? 0 : kExitFailure;
}

}  // namespace tessera::cli
