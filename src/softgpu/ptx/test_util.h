// Short ways to parse PTX in tests.
#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "softgpu/ptx/parser.h"

namespace tessera::softgpu::ptx {

// Three lines: what follows begins at line 4.
constexpr const char* kHeader = ".version 8.0\n.target sm_75\n.address_size 64\n";

inline Module parse_module(const std::string& text) {
  Result<Module> module = parse(kHeader + text);
  EXPECT_TRUE(module.ok()) << module.status().message() << "\n" << text;
  return module.ok() ? std::move(*module) : Module{};
}

// The function "f" with this body.
inline Function parse_body(const std::string& body, const std::string& before = "") {
  Module module = parse_module(before + "\n.visible .entry f(.param .u64 argument)\n{\n" + body + "\n}\n");
  if (module.functions.empty()) return {};
  return std::move(module.functions.back());
}

inline std::string parse_error(const std::string& text) {
  const Result<Module> module = parse(kHeader + text);
  return module.ok() ? "no error" : module.status().message();
}

inline std::string body_error(const std::string& body) {
  return parse_error(".entry f(.param .u64 argument) {\n" + body + "\n}");
}

inline std::string read_test_file(const std::string& name) {
  std::ifstream file(std::string(TESSERA_PTX_TESTDATA) + "/" + name, std::ios::binary);
  EXPECT_TRUE(file.good()) << name;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace tessera::softgpu::ptx
