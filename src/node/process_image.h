// Which program image a process runs: tells an exec from a process that merely closed its connection.
#pragma once

#include <sys/types.h>

#include <cstdint>

namespace tessera::node {

// Where the kernel put the program's code and stack (/proc/PID/stat, fields 26 and 28). An exec moves them,
// address space randomisation makes an equal pair in practice impossible. Zero where we may not look.
struct ProcessImage {
  uint64_t code = 0;
  uint64_t stack = 0;

  bool known() const { return code != 0 && stack != 0; }
};

ProcessImage read_process_image(pid_t pid);

// True only if both are known and differ: in doubt the image counts as the same, and its grants stay.
bool was_replaced(const ProcessImage& before, const ProcessImage& now);

}  // namespace tessera::node
