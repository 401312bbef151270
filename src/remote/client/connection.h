// The process's connection to its GPU server: made by the first call that needs it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/status.h"
#include "cuda/driver_table.h"

namespace tessera::remote {

// From the environment, as `tessera run --server` sets it:
//   TESSERA_SERVER             where servers listen: host:7070, tls://host:7070, shm:/path, several with
//                              commas between them (docs/remote.md)
//   TESSERA_SERVER_TOKEN_FILE  a file with the token to show
//   TESSERA_SERVER_IDENTITY    who we are, where the token does not say it
//   TESSERA_SERVER_CA, TESSERA_SERVER_CERT, TESSERA_SERVER_KEY   PEM files for TLS
//   TESSERA_SERVER_WISHES      JSON: the limits that are asked for
//   TESSERA_SERVER_GRACE       seconds to come back in after the connection has broken (60)
//   TESSERA_SERVER_CHECKSUMS   on: for ways that alter bytes; off: by default
//   TESSERA_SERVER_DURABLE     on: what a server loses is made again there or at another; off: by default
//   TESSERA_SERVER_JOURNAL     how much of the program's memory may be kept for that beside the checkpoint
//   (256MiB)
//   TESSERA_SERVER_STRIPES     the most connections that large copies go over, where several carry more (4)
struct RemoteConfig {
  std::string server;
  std::string token_file, identity, ca, certificate, key, wishes;
  double grace_seconds = 60;
  bool checksums = false;
  bool durable = false;
  uint64_t journal_bytes = uint64_t{256} << 20;
  size_t stripes = 4;

  static Result<RemoteConfig> from_environment();  // no server: a local GPU is wanted
};

struct RemoteDevice {
  std::string name;
  CUuuid uuid{};
  uint64_t total_bytes = 0;
  unsigned server = 0;
  CUdevice local = 0;  // what its server calls it
  std::vector<int> attributes;
  std::vector<uint8_t> has_attribute;
};

// What the servers have together, as they said when their sessions began. It does not change.
struct ServerInfo {
  CUresult init_result = CUDA_ERROR_NOT_INITIALIZED;
  int driver_version = 0;  // the oldest
  std::vector<uint8_t>
      entries;  // by the index in cuda::kDriverEntries: whether all drivers have the function
  std::vector<RemoteDevice> devices;
  bool keeps_content = false;  // what has been sent once need only be named
  bool uses_area = false;      // payloads may lie in memory that both sides see

  const RemoteDevice* device(CUdevice device) const {
    return device >= 0 && static_cast<size_t>(device) < devices.size() ? &devices[device] : nullptr;
  }
};

// Connects where it has not been tried yet. Null where it failed, which has been logged.
const ServerInfo* server_info();
// The same for a library that only tells what there is: its sessions are over when this returns, and leave no
// thread behind, so that the program may fork.
const ServerInfo* server_info_alone(RemoteConfig config);
// Whether cuInit has been called, and has worked.
bool is_initialised();
// This process is the child of one that had begun with CUDA, and has no more of it.
bool is_forked_from_one_with_cuda();
void set_initialised();

// Makes `table` the functions of a remote GPU. `exported`: our own exported functions, for cuGetProcAddress.
void install_remote(cuda::DriverTable& table, const cuda::DriverTable& exported, RemoteConfig config);

}  // namespace tessera::remote
