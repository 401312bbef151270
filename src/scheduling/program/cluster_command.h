// gpu_scheduler cluster: many GPUs, many jobs.
#pragma once

#include <memory>

namespace CLI {
class App;
}

namespace tessera::scheduling {

struct ClusterCommand;

// Adds the subcommand to `app`; what it is given is kept in the result, which has to outlive the parsing.
std::shared_ptr<ClusterCommand> add_cluster_command(CLI::App& app);
bool is_chosen(const ClusterCommand& command);
// The program's exit code.
int run_cluster(const ClusterCommand& command);

}  // namespace tessera::scheduling
