// Runs a fuzz target without libFuzzer, over files known to be interesting:
//
//   fuzz_x FILE|DIRECTORY...                    each file once
//   fuzz_x --random N SEED FILE|DIRECTORY...    and then N damaged copies, the same ones for the same seed
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

constexpr unsigned kMaxEdits = 8;

bool read_file(const std::filesystem::path& path, std::vector<Input>* inputs) {
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    std::fprintf(stderr, "cannot read %s\n", path.c_str());
    return false;
  }
  inputs->emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  return true;
}

bool read_all(const std::filesystem::path& path, std::vector<Input>* inputs) {
  if (!std::filesystem::is_directory(path)) return read_file(path, inputs);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
    if (entry.is_regular_file()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());  // the order of a directory is no order
  return std::all_of(files.begin(), files.end(), [&](const auto& file) { return read_file(file, inputs); });
}

// One small act of damage: a flipped bit, another byte, a cut, or a piece said twice.
void damage(std::mt19937_64& random, Input* input) {
  if (input->empty()) return;
  const size_t at = random() % input->size();
  switch (random() % 8) {
    case 0:
      input->resize(at);
      break;
    case 1: {
      const size_t size = std::min<size_t>(input->size() - at, 1 + random() % 64);
      const Input piece(input->begin() + static_cast<ptrdiff_t>(at),
                        input->begin() + static_cast<ptrdiff_t>(at + size));
      input->insert(input->begin() + static_cast<ptrdiff_t>(random() % input->size()), piece.begin(),
                    piece.end());
      break;
    }
    case 2:
    case 3:
      (*input)[at] = static_cast<uint8_t>(random());
      break;
    default:
      (*input)[at] ^= static_cast<uint8_t>(1u << (random() % 8));
      break;
  }
}

int usage() {
  std::fprintf(stderr, "usage: fuzz_target [--random N SEED] FILE|DIRECTORY...\n");
  return 2;
}

}  // namespace

int main(int argc, char** argv) {
  uint64_t count = 0, seed = 0;
  int first = 1;
  if (argc > 3 && std::string(argv[1]) == "--random") {
    count = std::strtoull(argv[2], nullptr, 10);
    seed = std::strtoull(argv[3], nullptr, 10);
    first = 4;
  }
  std::vector<Input> inputs;
  for (int i = first; i < argc; ++i)
    if (!read_all(argv[i], &inputs)) return 1;
  if (inputs.empty()) return usage();
  for (const Input& input : inputs) LLVMFuzzerTestOneInput(input.data(), input.size());

  std::mt19937_64 random(seed);
  for (uint64_t i = 0; i < count; ++i) {
    Input input = inputs[random() % inputs.size()];
    const uint64_t edits = 1 + random() % kMaxEdits;
    for (uint64_t edit = 0; edit < edits; ++edit) damage(random, &input);
    input.shrink_to_fit();  // so that a sanitizer sees the first byte read beyond the end
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  std::printf("%zu files and %llu damaged copies replayed\n", inputs.size(),
              static_cast<unsigned long long>(count));
  return 0;
}
