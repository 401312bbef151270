#include "scheduling/program/workload_file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <fstream>

namespace tessera::scheduling {
namespace {

Result<Workload> read(const std::string& text) {
  char path[] = "/tmp/tessera-workload-XXXXXX";
  close(mkstemp(path));
  std::ofstream(path) << text;
  auto workload = read_workload(path);
  unlink(path);
  return workload;
}

TEST(WorkloadFile, ATenantWithEverything) {
  auto workload = read(
      "order: feedback\n"
      "tenants:\n"
      "  - {name: a, sm: 12.5, sm-cap: true, priority: high, kernel: 500us, burst: 3, pause: 1.5s}\n"
      "  - {weight: 7}\n");
  ASSERT_TRUE(workload.ok()) << workload.status().message();
  EXPECT_EQ(workload->config.order, "feedback");
  const Program& program = workload->programs[0];
  EXPECT_EQ(program.spec.share_permille, 125u);
  EXPECT_EQ(program.spec.cap_permille, 125u);
  EXPECT_EQ(program.kernel_ns, 500 * kMicrosecond);
  EXPECT_EQ(program.pause_ns, 1'500 * kMillisecond);
  EXPECT_EQ(workload->programs[1].name, "tenant-2");
  EXPECT_EQ(workload->programs[1].spec.weight, 7u);
}

TEST(WorkloadFile, WhatIsWrongIsNamedWithItsLine) {
  const auto message = [](const std::string& text) { return read(text).status().message(); };
  EXPECT_NE(message("tenants:\n  - {kernel: soon}\n").find(":2: kernel: a time such as"), std::string::npos);
  EXPECT_NE(message("tenants:\n  - {speed: 1}\n").find(":2: unknown 'speed'; known: burst"),
            std::string::npos);
  EXPECT_NE(message("tenants:\n  - {sm: 101}\n").find("0.1 to 100"), std::string::npos);
  EXPECT_NE(message("tenants: []\n").find("no tenants"), std::string::npos);
  EXPECT_NE(message("order: random\n").find("random"), std::string::npos);
  EXPECT_NE(message("a: [\n").find(":2:"), std::string::npos);
  EXPECT_EQ(read_workload("/nowhere").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace tessera::scheduling
