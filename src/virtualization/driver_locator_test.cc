#include "virtualization/driver_locator.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>

namespace tessera::vgpu {
namespace {

using Kind = LibraryFile::Kind;

class FakeFiles : public FileProbe {
 public:
  void add(const std::string& path, Kind kind = Kind::kUsable) {
    files_[path] = LibraryFile{kind, 1, ++inodes_};
  }
  void link(const std::string& path, const std::string& target) { files_[path] = files_.at(target); }
  void text(const std::string& path, std::string text) { texts_[path] = std::move(text); }

  bool exists(const std::string& path) const override { return files_.count(path) + texts_.count(path) > 0; }
  LibraryFile inspect(const std::string& path) const override {
    auto found = files_.find(path);
    return found == files_.end() ? LibraryFile{} : found->second;
  }
  std::string read(const std::string& path) const override {
    auto found = texts_.find(path);
    return found == texts_.end() ? std::string() : found->second;
  }

 private:
  uint64_t inodes_ = 0;
  std::map<std::string, LibraryFile> files_;
  std::map<std::string, std::string> texts_;
};

constexpr const char* kSystem = "/usr/lib/x86_64-linux-gnu/";
const std::string kSystemCuda = std::string(kSystem) + "libcuda.so.1";
const std::string kSystemNvml = std::string(kSystem) + "libnvidia-ml.so.1";

FakeFiles tessera_tree() {
  FakeFiles files;
  files.add("/t/lib/libcuda.so.1", Kind::kGuest);
  files.add("/t/lib/softgpu/libcuda.so.1");
  files.add("/t/lib/softgpu/libnvidia-ml.so.1");
  files.add("/t/bin/tesserad");
  return files;
}

DriverSearch search(const FakeFiles& files, const std::string& wanted = "",
                    const std::string& own = "/t/lib/libcuda.so.1") {
  return locate_driver({wanted, own}, files);
}

TEST(DriverLocator, WithoutACardTakesTheSoftwareGpuEvenBesideALeftoverDriver) {
  FakeFiles files = tessera_tree();
  files.add(kSystemCuda);
  DriverSearch found = search(files);
  ASSERT_TRUE(found.driver);
  EXPECT_EQ(found.driver->kind, DriverKind::kSoftware);
  EXPECT_EQ(found.driver->libcuda, "/t/lib/softgpu/libcuda.so.1");
  EXPECT_EQ(found.driver->libnvidia_ml, "/t/lib/softgpu/libnvidia-ml.so.1");
}

TEST(DriverLocator, ProgramsInBinFindItToo) {
  for (const char* folder : {"/t/bin/../lib/softgpu/", "/t/bin/../lib/tessera/softgpu/"}) {
    FakeFiles files;
    files.add(std::string(folder) + "libcuda.so.1");
    DriverSearch found = search(files, "", "/t/bin/tesserad");
    ASSERT_TRUE(found.driver) << found.explanation();
    EXPECT_EQ(found.driver->libcuda, std::string(folder) + "libcuda.so.1");
    EXPECT_EQ(found.driver->libnvidia_ml, "");
  }
}

TEST(DriverLocator, WithACardTakesNvidias) {
  FakeFiles files = tessera_tree();
  files.text("/dev/nvidiactl", "");
  files.add(kSystemCuda);
  files.add(kSystemNvml);
  DriverSearch found = search(files);
  ASSERT_TRUE(found.driver);
  EXPECT_EQ(found.driver->kind, DriverKind::kNvidia);
  EXPECT_EQ(found.driver->libcuda, kSystemCuda);
  EXPECT_EQ(found.driver->libnvidia_ml, kSystemNvml);
}

TEST(DriverLocator, GuestMountedOverTheDriverFindsTheVersionedFile) {
  FakeFiles files = tessera_tree();
  files.text("/dev/nvidiactl", "");
  files.text("/sys/module/nvidia/version", "580.65.06\n");
  files.add(kSystemCuda, Kind::kGuest);
  files.add(std::string(kSystem) + "libcuda.so.580.65.06");
  DriverSearch found = search(files, "", kSystemCuda);
  ASSERT_TRUE(found.driver) << found.explanation();
  EXPECT_EQ(found.driver->libcuda, std::string(kSystem) + "libcuda.so.580.65.06");
}

TEST(DriverLocator, ForeignLibrariesAreSkipped) {
  FakeFiles files = tessera_tree();
  files.text("/dev/nvidiactl", "");
  files.add(kSystemCuda, Kind::kForeign);
  files.add("/usr/lib64/libcuda.so.1");
  EXPECT_EQ(search(files).driver->libcuda, "/usr/lib64/libcuda.so.1");
}

TEST(DriverLocator, ANamedDriverIsTakenOrNothingIs) {
  FakeFiles files = tessera_tree();
  files.add("/opt/x/libcuda.so.1");
  DriverSearch found = search(files, "/opt/x/libcuda.so.1");
  ASSERT_TRUE(found.driver);
  EXPECT_EQ(found.driver->kind, DriverKind::kNamed);
  EXPECT_EQ(search(files, "/t/lib/softgpu/libcuda.so.1").driver->kind, DriverKind::kSoftware);
  for (const char* wrong : {"/nowhere/libcuda.so.1", "x/libcuda.so.1", "amd", "/t/lib/libcuda.so.1"}) {
    found = search(files, wrong);
    EXPECT_FALSE(found.driver) << wrong;
    EXPECT_NE(found.explanation(), "");
  }
}

TEST(DriverLocator, OwnFileUnderAnotherNameIsNeverTaken) {
  FakeFiles files = tessera_tree();
  files.add("/somewhere/guest.so");  // usable to the eye: an old guest without the note
  files.link("/opt/libcuda.so.1", "/somewhere/guest.so");
  DriverSearch found = search(files, "/opt/libcuda.so.1", "/somewhere/guest.so");
  EXPECT_FALSE(found.driver);
  EXPECT_NE(found.explanation().find("own guest"), std::string::npos);
}

TEST(DriverLocator, AskedForNvidiaDoesNotFallBack) {
  DriverSearch found = search(tessera_tree(), "nvidia");
  EXPECT_FALSE(found.driver);
  EXPECT_EQ(search(tessera_tree(), "software").driver->kind, DriverKind::kSoftware);
}

TEST(LibraryFile, TextAndCutFilesAreForeign) {
  const char text[] = "#!/bin/sh\n";
  EXPECT_EQ(classify_library(std::as_bytes(std::span(text))), Kind::kForeign);
  EXPECT_EQ(classify_library({}), Kind::kForeign);
  EXPECT_EQ(inspect_library("/nowhere").kind, Kind::kMissing);
  EXPECT_EQ(inspect_library("/").kind, Kind::kForeign);
  EXPECT_EQ(inspect_library("/proc/self/exe").kind, Kind::kUsable);  // position independent: ET_DYN
}

}  // namespace
}  // namespace tessera::vgpu
