// One function per subcommand; each returns the exit code.
#pragma once

#include "cli/options.h"
#include "common/status.h"

namespace tessera::cli {

int run_command(const RunOptions& options);
int ps_command(const PsOptions& options);
int set_command(const SetOptions& options);
int gpus_command(const GpusOptions& options);
int doctor_command(const DoctorOptions& options);

// "tessera COMMAND: message" on standard error.
void print_error(const char* command, const Status& status);

}  // namespace tessera::cli
