// Runs a fuzz target without libFuzzer, over files known to be interesting:
//
//   fuzz_x FILE|DIRECTORY...                    each file once
//   fuzz_x --random N SEED FILE|DIRECTORY...    and then N damaged copies, the same ones for the same seed
//
// A child runs them, so that whatever ends it, on whichever thread, the input can be said and kept: threads
// of the tested code may block the signals that a handler would need.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <new>
#include <random>
#include <string>
#include <utility>
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

// One act of damage: a flipped bit, another byte, a cut, a piece said twice, or a piece that is new.
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
    case 2: {
      const size_t size = std::min<size_t>(input->size() - at, 1 + random() % 512);
      for (size_t i = at; i < at + size; ++i) (*input)[i] = static_cast<uint8_t>(random());
      break;
    }
    case 3:
      (*input)[at] = static_cast<uint8_t>(random());
      break;
    default:
      (*input)[at] ^= static_cast<uint8_t>(1u << (random() % 8));
      break;
  }
}

// The files, then their damaged copies.
class Sequence {
 public:
  Sequence(std::vector<Input> files, uint64_t copies, uint64_t seed)
      : files_(std::move(files)), copies_(copies), random_(seed) {}
  uint64_t size() const { return files_.size() + copies_; }
  Input next() {
    if (made_ < files_.size()) return files_[made_++];
    Input input = files_[random_() % files_.size()];
    const uint64_t edits = 1 + random_() % kMaxEdits;
    for (uint64_t edit = 0; edit < edits; ++edit) damage(random_, &input);
    input.shrink_to_fit();  // so that a sanitizer sees the first byte read beyond the end
    return input;
  }

 private:
  const std::vector<Input> files_;
  const uint64_t copies_;
  std::mt19937_64 random_;
  size_t made_ = 0;  // of the files
};

void run_all(Sequence sequence, std::atomic<uint64_t>* running) {
  for (uint64_t i = 0; i < sequence.size(); ++i) {
    running->store(i);
    const Input input = sequence.next();
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
}

void keep(Sequence sequence, uint64_t index) {
  for (uint64_t i = 0; i < index; ++i) sequence.next();
  const Input input = sequence.next();
  const auto path = std::filesystem::temp_directory_path() / ("fuzz-input-" + std::to_string(getpid()));
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
  file.close();
  std::fprintf(stderr, "input %llu is %s in %s\n", static_cast<unsigned long long>(index),
               file ? "kept" : "not kept", path.c_str());
}

int run_in_child(const Sequence& sequence) {
  void* shared =
      mmap(nullptr, sizeof(std::atomic<uint64_t>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return 1;
  auto* running = new (shared) std::atomic<uint64_t>(0);
  const pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    run_all(sequence, running);
    std::exit(0);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) return 1;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
  if (WIFSIGNALED(status)) std::fprintf(stderr, "%s\n", strsignal(WTERMSIG(status)));
  keep(sequence, running->load());
  return 1;
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
  const size_t files = inputs.size();
  if (const int failed = run_in_child(Sequence(std::move(inputs), count, seed)); failed != 0) return failed;
  std::printf("%zu files and %llu damaged copies replayed\n", files, static_cast<unsigned long long>(count));
  return 0;
}
