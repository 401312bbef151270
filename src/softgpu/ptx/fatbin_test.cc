#include "softgpu/ptx/fatbin.h"

#include <lz4.h>
#include <zstd.h>

#include "softgpu/ptx/test_util.h"

namespace tessera::softgpu::ptx {
namespace {

struct Wrapper {
  uint32_t magic = 0x466243b1, version = 1;
  const void* data = nullptr;
  const void* const* extra = nullptr;
};

template <typename T>
void append(std::string* bytes, T value) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof value);
}

struct EntrySpec {
  uint16_t kind = 1;
  uint32_t architecture = 75;
  uint64_t flags = 0x11;
  std::string payload;
  uint64_t uncompressed_size = 0;
};

std::string make_entry(const EntrySpec& spec) {
  std::string bytes;
  const std::string padding((8 - spec.payload.size() % 8) % 8, '\0');
  append<uint16_t>(&bytes, spec.kind);
  append<uint16_t>(&bytes, 0x101);
  append<uint32_t>(&bytes, 64);
  append<uint64_t>(&bytes, spec.payload.size() + padding.size());
  append<uint32_t>(&bytes, static_cast<uint32_t>(spec.payload.size()));
  append<uint64_t>(&bytes, 0);
  append<uint32_t>(&bytes, spec.architecture);
  append<uint64_t>(&bytes, 0);
  append<uint64_t>(&bytes, spec.flags);
  append<uint64_t>(&bytes, 0);
  append<uint64_t>(&bytes, spec.uncompressed_size);
  return bytes + spec.payload + padding;
}

std::string fatbin_of(const std::string& entries) {
  std::string bytes;
  append<uint32_t>(&bytes, 0xba55ed50);
  append<uint16_t>(&bytes, 1);
  append<uint16_t>(&bytes, 16);
  append<uint64_t>(&bytes, entries.size());
  return bytes + entries;
}

std::string ptx_for(int architecture, const std::string& body = "") {
  return ".version 8.0\n.target sm_" + std::to_string(architecture) + "\n.address_size 64\n" + body;
}

Result<DeviceCode> extract_string(const std::string& bytes, uint32_t architecture_max = 75) {
  return extract_bounded(std::as_bytes(std::span(bytes)), architecture_max);
}

void expect_error(const std::string& bytes, Code code, const std::string& part) {
  const Result<DeviceCode> result = extract_string(bytes);
  ASSERT_FALSE(result.ok()) << part;
  EXPECT_EQ(result.status().code(), code) << result.status().message();
  EXPECT_NE(result.status().message().find(part), std::string::npos) << result.status().message();
}

TEST(Fatbin, RealOnesInEveryCompression) {
  for (const char* name : {"zstd.fatbin", "lz4.fatbin", "plain.fatbin", "line_info.fatbin"}) {
    const std::string bytes = read_test_file(name);
    for (const Result<DeviceCode>& code : {extract_string(bytes), extract(bytes.data(), 75)}) {
      ASSERT_TRUE(code.ok()) << name << ": " << code.status().message();
      EXPECT_EQ(code->architecture, 75u);
      const Result<Module> module = parse(code->text);
      ASSERT_TRUE(module.ok()) << name << ": " << module.status().message();
      EXPECT_EQ(module->functions[0].name, "vector_add");
    }
  }
}

TEST(Fatbin, TheNewestThatMayRunIsChosen) {
  const std::string bytes = read_test_file("several.fatbin");
  EXPECT_EQ(extract_string(bytes, 75)->architecture, 75u);
  EXPECT_EQ(extract_string(bytes, 80)->architecture, 80u);
  EXPECT_EQ(extract_string(bytes, 89)->architecture, 80u);
  EXPECT_EQ(extract_string(bytes, 90)->architecture, 90u);
  EXPECT_EQ(extract_string(bytes, 100)->architecture, 80u) << "compute_90a runs on sm_90 alone";
  EXPECT_EQ(extract_string(bytes, 70).status().message(),
            "device code has PTX for compute_80, compute_75, compute_90a only, and this device is sm_70; "
            "rebuild with "
            "-gencode arch=compute_70,code=compute_70 (or an older architecture)");
}

TEST(Fatbin, FamilySpecificPtx) {
  const std::string bytes = fatbin_of(make_entry({1, 100, 0x200011, ptx_for(100)}));
  EXPECT_TRUE(extract_string(bytes, 103).ok());
  EXPECT_FALSE(extract_string(bytes, 120).ok());
}

TEST(Fatbin, OnlyMachineCode) {
  EXPECT_EQ(extract_string(read_test_file("sass_only.fatbin")).status().message(),
            "device code is built for sm_90, sm_80 only and carries no PTX; rebuild with -gencode "
            "arch=compute_75,code=compute_75 (or an older architecture)");
  expect_error(std::string("\x7f"
                           "ELF and so on"),
               Code::kUnsupported, "is a cubin");
  expect_error(fatbin_of(make_entry({8, 75, 0x11, "LTO"})), Code::kUnsupported, "link-time optimisation");
}

TEST(Fatbin, PtxText) {
  EXPECT_EQ(extract_string("// hello\n" + ptx_for(70))->architecture, 70u);
  const std::string text = ptx_for(75, ".global .u32 x;\n");
  const Result<DeviceCode> code = extract(text.c_str(), 75);
  ASSERT_TRUE(code.ok());
  EXPECT_EQ(code->text, text);
  EXPECT_EQ(extract_string(text + std::string(5, '\0'))->text, text);
  expect_error(ptx_for(90), Code::kUnsupported, "is PTX for sm_90, and this device is sm_75");
  expect_error("", Code::kInvalidData, "neither a fat binary nor PTX");
  expect_error("hello", Code::kInvalidData, "neither a fat binary nor PTX");
  EXPECT_EQ(extract("", 75).status().code(), Code::kInvalidData);
  EXPECT_EQ(extract(nullptr, 75).status().code(), Code::kInvalidArgument);
}

TEST(Fatbin, Wrappers) {
  const std::string first = fatbin_of(make_entry({1, 75, 0x11, ptx_for(75, ".visible .func a() { ret; }")}));
  const std::string second = fatbin_of(make_entry({1, 70, 0x11, ptx_for(70, ".visible .func b() { ret; }")}));
  const std::string runtime = fatbin_of(make_entry({1, 121, 0x11, ptx_for(121)}));
  Wrapper one;
  one.data = first.data();
  EXPECT_TRUE(extract(&one, 75).ok());
  expect_error(std::string(reinterpret_cast<const char*>(&one), sizeof one), Code::kInvalidData,
               "a wrapper holds pointers");

  const void* units[] = {first.data(), second.data(), runtime.data(), nullptr};
  Wrapper linked;
  linked.version = 2;
  linked.extra = units;
  const Result<DeviceCode> code = extract(&linked, 75);
  ASSERT_TRUE(code.ok()) << code.status().message();
  EXPECT_EQ(code->architecture, 75u);
  EXPECT_NE(code->left_out.find("compute_121"), std::string::npos);
  const Result<Module> module = parse(code->text);
  ASSERT_TRUE(module.ok()) << module.status().message();
  EXPECT_EQ(module->functions.size(), 2u);

  const void* only_new[] = {runtime.data(), nullptr};
  linked.extra = only_new;
  EXPECT_EQ(extract(&linked, 75).status().code(), Code::kUnsupported);
  const void* none[] = {nullptr};
  linked.extra = none;
  EXPECT_EQ(extract(&linked, 75).status().code(), Code::kInvalidData);
  linked.version = 3;
  EXPECT_EQ(extract(&linked, 75).status().code(), Code::kUnsupported);
}

TEST(Fatbin, WhatIsMadeIsReadBack) {
  const std::string text = ptx_for(70, "// one\n") + ptx_for(75, "// two\n");
  const std::string made = make_fatbin(text, 75);
  EXPECT_EQ(made.size() % 8, 0u);
  const auto code = extract_string(made);
  ASSERT_TRUE(code.ok()) << code.status().message();
  EXPECT_EQ(code->text, text);
  EXPECT_EQ(code->architecture, 75u);
  EXPECT_EQ(extract_string(made, 70).status().code(), Code::kUnsupported);
}

TEST(Fatbin, EmbeddedInOtherFiles) {
  const std::string one = make_fatbin(ptx_for(70, "// one\n"), 70),
                    two = make_fatbin(ptx_for(75, "// two\n"), 75), newer = make_fatbin(ptx_for(90), 90);
  const auto embedded = [](const std::string& file) {
    return extract_embedded({reinterpret_cast<const std::byte*>(file.data()), file.size()}, 75);
  };
  const std::string file = "!<arch>\nabcd" + one + "12" + newer + "\x50\xed\x55\xba" + two + "end";
  const auto code = embedded(file);
  ASSERT_TRUE(code.ok()) << code.status().message();
  EXPECT_NE(code->text.find("// one"), std::string::npos);
  EXPECT_NE(code->text.find("// two"), std::string::npos);
  EXPECT_NE(code->left_out.find("compute_90"), std::string::npos) << code->left_out;
  EXPECT_EQ(embedded("nothing here").status().code(), Code::kInvalidData);
  EXPECT_EQ(embedded("").status().code(), Code::kInvalidData);
  EXPECT_EQ(embedded(newer).status().code(), Code::kUnsupported);
  for (size_t cut = 0; cut < one.size(); ++cut) EXPECT_FALSE(embedded(one.substr(0, cut)).ok()) << cut;
}

TEST(Fatbin, DamagedContainers) {
  const std::string entry = make_entry({1, 75, 0x11, ptx_for(75)});
  std::string fatbin = fatbin_of(entry);
  expect_error(fatbin.substr(0, 10), Code::kInvalidData, "no header");
  expect_error(fatbin.substr(0, fatbin.size() - 1), Code::kInvalidData, "shorter than its header says");
  expect_error(fatbin_of(entry + "x"), Code::kInvalidData, "an entry is cut off");
  std::string bad = entry;
  bad[4] = 8;  // header size
  expect_error(fatbin_of(bad), Code::kInvalidData, "header is too small");
  bad = entry;
  bad.replace(8, 8, 8, '\xff');  // payload size
  expect_error(fatbin_of(bad), Code::kInvalidData, "reaches beyond the end");
  fatbin[4] = 9;  // format version
  expect_error(fatbin, Code::kUnsupported, "format version 9");
  expect_error(fatbin_of(""), Code::kUnsupported, "is an empty fat binary");
}

std::string zstd(const std::string& text) {
  std::string bytes(ZSTD_compressBound(text.size()), '\0');
  bytes.resize(ZSTD_compress(bytes.data(), bytes.size(), text.data(), text.size(), 3));
  return bytes;
}

std::string lz4(const std::string& text) {
  std::string bytes(static_cast<size_t>(LZ4_compressBound(static_cast<int>(text.size()))), '\0');
  const int size = LZ4_compress_default(text.data(), bytes.data(), static_cast<int>(text.size()),
                                        static_cast<int>(bytes.size()));
  bytes.resize(static_cast<size_t>(size));
  return bytes;
}

TEST(Fatbin, CompressedSizesAreChecked) {
  const std::string text = ptx_for(75, std::string(1000, '\n'));
  EXPECT_EQ(extract_string(fatbin_of(make_entry({1, 75, 0x8011, zstd(text), text.size()})))->text, text);
  EXPECT_EQ(extract_string(fatbin_of(make_entry({1, 75, 0x2011, lz4(text), text.size()})))->text, text);
  expect_error(fatbin_of(make_entry({1, 75, 0x8011, zstd(text), text.size() + 1})), Code::kInvalidData,
               "zstd");
  expect_error(fatbin_of(make_entry({1, 75, 0x2011, lz4(text), text.size() + 1})), Code::kInvalidData, "lz4");
  expect_error(fatbin_of(make_entry({1, 75, 0x2011, lz4(text), text.size() - 1})), Code::kInvalidData, "lz4");
  expect_error(fatbin_of(make_entry({1, 75, 0x8011, "not zstd", 8})), Code::kInvalidData, "zstd");
  expect_error(fatbin_of(make_entry({1, 75, 0x2011, lz4(text), 1u << 24})), Code::kInvalidData,
               "cannot hold");
  expect_error(fatbin_of(make_entry({1, 75, 0x8011, zstd(text), uint64_t{1} << 40})), Code::kInvalidData,
               "too much");
  std::string entry = make_entry({1, 75, 0x8011, zstd(text), text.size()});
  entry[18] = 1;  // compressed size
  expect_error(fatbin_of(entry), Code::kInvalidData, "larger than the entry");
}

}  // namespace
}  // namespace tessera::softgpu::ptx
