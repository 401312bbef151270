// Graphs as text.
#include <cstdio>

#include "remote/client/connection.h"
#include "remote/client/installs.h"
#include "remote/client/request.h"

namespace tessera::remote {
namespace {

// The server prints the graph, the program's machine has the file.
CUresult debug_dot_print(CUgraph graph, const char* path, unsigned int flags) {
  if (!is_initialised()) return CUDA_ERROR_NOT_INITIALIZED;
  Request request(Op::cuGraphDebugDotPrint, false);
  const CUresult result = request.value(graph).value<uint64_t>(path != nullptr ? 1 : 0).value(flags).run();
  if (result != CUDA_SUCCESS) return result;
  uint64_t bytes = 0;
  const auto* text = request.next_array<char>(&bytes);
  FILE* file = fopen(path, "we");
  if (file == nullptr) return CUDA_ERROR_OPERATING_SYSTEM;
  const bool is_written = fwrite(text, 1, bytes, file) == bytes;
  return fclose(file) == 0 && is_written ? CUDA_SUCCESS : CUDA_ERROR_OPERATING_SYSTEM;
}

}  // namespace

void install_graph_print(cuda::DriverTable& table) { table.cuGraphDebugDotPrint = debug_dot_print; }

}  // namespace tessera::remote
