// tessera metrics: GPUs and slices as Prometheus reads them.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "cli/commands.h"
#include "common/fd.h"
#include "node/metrics_text.h"

namespace tessera::cli {
namespace {

Result<std::string> ask_metrics(const std::string& socket) {
  TESSERA_ASSIGN_OR_RETURN(const node::Json gpus, ask_gpus(socket));
  TESSERA_ASSIGN_OR_RETURN(const node::Json slices, ask_slices(socket));
  return node::metrics_text(gpus, slices);
}

// As a whole or not at all: whoever collects the file may read it at any time.
Status write_whole(const std::string& path, const std::string& text) {
  std::string fresh = path + ".XXXXXX";
  UniqueFd made(mkostemp(fresh.data(), O_CLOEXEC));
  FILE* file = made ? fdopen(made.get(), "w") : nullptr;
  if (file == nullptr) return Status::from_errno(errno, "cannot make a file beside %s", path.c_str());
  (void)made.release();
  const bool readable = fchmod(fileno(file), 0644) == 0;
  const bool written = fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = fclose(file) == 0;
  if (readable && written && closed && rename(fresh.c_str(), path.c_str()) == 0) return Status();
  const Status failed = Status::from_errno(errno, "cannot write %s", path.c_str());
  unlink(fresh.c_str());
  return failed;
}

}  // namespace

int metrics_command(const MetricsOptions& options) {
  auto text = ask_metrics(options.socket);
  Status status = text.status();
  if (text.ok() && options.output.empty()) fputs(text->c_str(), stdout);
  if (text.ok() && !options.output.empty()) status = write_whole(options.output, *text);
  if (status.ok()) return 0;
  print_error("metrics", status);
  return kExitFailure;
}

}  // namespace tessera::cli
