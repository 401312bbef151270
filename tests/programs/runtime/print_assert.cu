// printf and assert on the device. The output goes to a file in place of stdout, read back when the kernel is
// done.
#include <sys/wait.h>
#include <unistd.h>

#undef NDEBUG
#include <algorithm>
#include <cassert>
#include <set>
#include <string>

#include "cuda_check.h"

namespace {

__global__ void print_lines(const char* greeting) {
  const int thread = blockIdx.x * blockDim.x + threadIdx.x;
  if (thread % 3 == 0) {
    printf("%s from %d.%d: %d %5.2f %c %s %llx %-6u|%%\n", greeting, blockIdx.x, threadIdx.x, -thread,
           thread * 0.5, 'a' + thread % 26, thread % 2 ? "odd" : "even", 0x123456789abcdefull + thread,
           thread * 7u);
  }
}

__global__ void print_result(int* result) { *result = printf("%d and %ld\n", 12, 34L); }

__global__ void check_positive(const int* values) { assert(values[threadIdx.x] > 0); }

// Everything written to file descriptor 1 until end().
class Capture {
 public:
  explicit Capture(int descriptor) : descriptor_(descriptor), file_(std::tmpfile()) {
    REQUIRE(file_, "no temporary file");
    std::fflush(stdout);
    saved_ = dup(descriptor_);
    dup2(fileno(file_), descriptor_);
  }
  std::string end() {
    std::fflush(stdout);
    dup2(saved_, descriptor_);
    close(saved_);
    std::string text;
    std::rewind(file_);
    for (int c; (c = std::fgetc(file_)) != EOF;) text += static_cast<char>(c);
    std::fclose(file_);
    return text;
  }

 private:
  int descriptor_, saved_;
  std::FILE* file_;
};

std::multiset<std::string> lines_of(const std::string& text) {
  std::multiset<std::string> lines;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    lines.insert(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

size_t check_printf() {
  constexpr int kBlocks = 4, kThreads = 64;
  const char greeting[] = "hello";
  char* device_greeting = nullptr;
  CUDA_CHECK(cudaMalloc(&device_greeting, sizeof(greeting)));
  CUDA_CHECK(cudaMemcpy(device_greeting, greeting, sizeof(greeting), cudaMemcpyHostToDevice));
  check::DeviceArray<int> result(1);
  Capture capture(STDOUT_FILENO);
  print_lines<<<kBlocks, kThreads>>>(device_greeting);
  print_result<<<1, 1>>>(result.get());
  const cudaError_t status = cudaDeviceSynchronize();  // flushes the output
  const std::string text = capture.end();
  CUDA_CHECK(status);

  std::multiset<std::string> want = {"12 and 34"};
  for (int thread = 0; thread < kBlocks * kThreads; thread += 3) {
    char line[200];
    std::snprintf(line, sizeof(line), "hello from %d.%d: %d %5.2f %c %s %llx %-6u|%%", thread / kThreads,
                  thread % kThreads, -thread, thread * 0.5, 'a' + thread % 26, thread % 2 ? "odd" : "even",
                  0x123456789abcdefull + thread, thread * 7u);
    want.insert(line);
  }
  REQUIRE(lines_of(text) == want, "what was printed differs; it begins: %s", text.substr(0, 200).c_str());
  REQUIRE(result.download()[0] == 2, "printf returned %d, not its number of arguments", result.download()[0]);
  CUDA_CHECK(cudaFree(device_greeting));
  return want.size();
}

// Its own process: the context is lost for good.
void fail_assertion() {
  std::vector<int> values(64, 1);
  values[37] = -1;
  const check::DeviceArray<int> device_values(values);
  Capture capture(STDERR_FILENO);
  check_positive<<<1, 64>>>(device_values.get());
  const cudaError_t status = cudaDeviceSynchronize();
  const std::string text = capture.end();
  REQUIRE(status == cudaErrorAssert, "a failed assertion gives %s", cudaGetErrorName(status));
  REQUIRE(
      text.find("values[threadIdx.x] > 0") != std::string::npos && text.find("[37,0,0]") != std::string::npos,
      "the message is: %s", text.c_str());
  void* memory = nullptr;
  CUDA_EXPECT(cudaErrorAssert, cudaMalloc(&memory, 256));
  CUDA_EXPECT(cudaErrorAssert, cudaDeviceSynchronize());
}

}  // namespace

int main() {
  const pid_t child = fork();  // before any CUDA call
  if (child == 0) {
    fail_assertion();
    std::exit(0);
  }
  int status = 0;
  REQUIRE(child > 0 && waitpid(child, &status, 0) == child, "no child");
  REQUIRE(WIFEXITED(status) && WEXITSTATUS(status) == 0,
          "the failed assertion was not seen as it should (status %#x)", status);
  const size_t lines = check_printf();
  return check::pass("%zu lines printed; a failed assert is cudaErrorAssert, sticky", lines);
}
