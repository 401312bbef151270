// A server that answers whatever it likes: nothing of the program's is written, read or called for it that
// the program has not given.
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "cuda/driver_table.h"
#include "remote/client/connection.h"
#include "remote/front/testing/test_front.h"
#include "remote/link/link.h"
#include "remote/wire/launch.h"
#include "remote/wire/message.h"
#include "remote/wire/writer.h"

namespace tessera::remote {
namespace {

constexpr uint64_t kPage = 4096;

// What comes after the head of every answer, until it is written anew: the test's and the server's memory.
struct Script {
  uint64_t bytes = 0;
  std::byte fields[256 << 10];
};
Script* script = nullptr;

int run_scripted(SessionStart start) {
  Link link(std::move(start.transport), {});
  for (;;) {
    MessageHeader header;
    if (!link.read(std::as_writable_bytes(std::span(&header, 1))).ok()) return 0;
    std::vector<std::byte> body(header.bytes - sizeof header);
    if (!link.read(body).ok()) return 0;
    if ((header.thread & kAnswerWanted) == 0) continue;
    const AnswerHead head;
    const MessageHeader answer{static_cast<uint32_t>(sizeof answer + sizeof head + script->bytes),
                               static_cast<uint16_t>(Message::kAnswer),
                               static_cast<uint16_t>(header.thread & kThreadMask)};
    Link::Sender sender(link);
    sender.append(std::as_bytes(std::span(&answer, 1)));
    sender.append(std::as_bytes(std::span(&head, 1)));
    sender.append(ByteSpan(script->fields, script->bytes));
    if (!sender.flush().ok()) return 0;
  }
}

template <typename Write>
void answer_with(Write write) {
  std::vector<std::byte> fields;
  Writer out(fields);
  write(out);
  ASSERT_LE(fields.size(), sizeof script->fields);
  memcpy(script->fields, fields.data(), fields.size());
  script->bytes = fields.size();
}

void answer_with_a_variable(uint64_t address, uint64_t bytes, const std::vector<std::byte>& content) {
  answer_with([&](Writer& out) {
    out.value(address);
    out.value(bytes);
    out.value<uint32_t>(1);
    out.array(content.data(), content.size());
  });
}

void answer_with_one_device(Writer& out) {
  out.value<int>(13000);
  const std::vector<uint8_t> entries(cuda::kDriverEntriesCount, 1);
  out.array(entries.data(), entries.size());
  out.value<uint32_t>(1);
  out.array("a GPU", 6);
  out.value(CUuuid{});
  out.value<uint64_t>(1 << 30);
  const std::vector<int> attributes(CU_DEVICE_ATTRIBUTE_MAX, 1);
  out.array(attributes.data(), attributes.size());
  const std::vector<uint8_t> has(CU_DEVICE_ATTRIBUTE_MAX, 1);
  out.array(has.data(), has.size());
  out.value<uint32_t>(0);
  out.value<uint32_t>(0);
}

// A process has one connection in its life.
class HostileServer : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    script = static_cast<Script*>(
        mmap(nullptr, sizeof(Script), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    front_ = new TestFront;
    front_->options.hooks.run = run_scripted;
    front_->start();
    answer_with(answer_with_one_device);
    RemoteConfig config;
    config.server = to_text(front_->at(Flavour::kTcp));
    install_remote(table_, table_, std::move(config));
    ASSERT_EQ(table_.cuInit(0), CUDA_SUCCESS);
  }
  static void TearDownTestSuite() { delete front_; }

  static CUresult get_variable(CUdeviceptr* address, size_t* bytes) {
    return table_.cuModuleGetGlobal_v2(address, bytes, reinterpret_cast<CUmodule>(0x10), "variable");
  }
  static CUresult get_variable() {
    CUdeviceptr address = 0;
    size_t bytes = 0;
    return get_variable(&address, &bytes);
  }

  static inline TestFront* front_ = nullptr;
  static inline cuda::DriverTable table_{};
};

// Pages of the program's, and a free one before and behind them.
class Pages {
 public:
  explicit Pages(size_t count)
      : count_(count),
        around_(static_cast<std::byte*>(
            mmap(nullptr, (count + 2) * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))) {
    memset(around_, 0xaa, (count + 2) * kPage);
    munmap(around_, kPage);
    munmap(around_ + (count + 1) * kPage, kPage);
  }
  ~Pages() { munmap(around_ + kPage, count_ * kPage); }

  uint64_t begin() const { return reinterpret_cast<uint64_t>(around_) + kPage; }
  uint64_t end() const { return begin() + count_ * kPage; }
  bool are_untouched() const {
    const std::byte* const first = around_ + kPage;
    return std::all_of(first, first + count_ * kPage, [](std::byte one) { return one == std::byte{0xaa}; });
  }

 private:
  const size_t count_;
  std::byte* const around_;
};

bool is_mapped(uint64_t page) {
  unsigned char there = 0;
  return mincore(reinterpret_cast<void*>(page), kPage, &there) == 0;
}

std::vector<std::byte> filled(size_t bytes, int value) {
  std::vector<std::byte> content(bytes);
  std::fill(content.begin(), content.end(), static_cast<std::byte>(value));
  return content;
}

TEST_F(HostileServer, AManagedVariableTakesNoMemoryThatTheProgramHas) {
  const Pages own(3);
  const struct {
    uint64_t address, bytes;
  } cases[] = {{own.begin() + 100, 64},
               {own.begin(), 3 * kPage},
               {own.begin() - 64, 128},
               {own.end() - 64, 128},
               {own.begin() - kPage, 5 * kPage}};
  for (const auto& one : cases) {
    answer_with_a_variable(one.address, one.bytes, filled(one.bytes, 0x55));
    EXPECT_EQ(get_variable(), CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT_TRUE(own.are_untouched());
    EXPECT_FALSE(is_mapped(own.begin() - kPage));
    EXPECT_FALSE(is_mapped(own.end()));
  }
}

TEST_F(HostileServer, AManagedVariableThatIsNowhereIsNone) {
  const uint64_t free = Pages(1).begin();
  const struct {
    uint64_t address, bytes;
    size_t content;
  } cases[] = {{0, 64, 64}, {free, 0, 0}, {0, 0, 0}, {free, 64, 32}, {free, 1 << 20, 64}};
  for (const auto& one : cases) {
    answer_with_a_variable(one.address, one.bytes, filled(one.content, 0x55));
    EXPECT_EQ(get_variable(), CUDA_ERROR_UNKNOWN);
  }
  answer_with_a_variable(~uint64_t{0} - 32, 64, filled(64, 0x55));  // over the end of all addresses
  EXPECT_EQ(get_variable(), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_FALSE(is_mapped(free));
}

TEST_F(HostileServer, AManagedVariableIsThereUntilItsCodeIsUnloaded) {
  const uint64_t free = Pages(2).begin();
  CUdeviceptr address = 0;
  size_t bytes = 0;
  const auto first = [&] { return *reinterpret_cast<const volatile uint8_t*>(free + 16); };
  answer_with_a_variable(free + 16, 64, filled(64, 1));
  ASSERT_EQ(get_variable(&address, &bytes), CUDA_SUCCESS);
  EXPECT_EQ(address, free + 16);
  EXPECT_EQ(bytes, 64u);
  EXPECT_EQ(first(), 1);
  // The same again has what the program has.
  answer_with_a_variable(free + 16, 64, filled(64, 2));
  EXPECT_EQ(get_variable(), CUDA_SUCCESS);
  EXPECT_EQ(first(), 1);
  // Another in its page, one that goes over it, and the same of another size.
  answer_with_a_variable(free + 256, 64, filled(64, 3));
  EXPECT_EQ(get_variable(), CUDA_SUCCESS);
  answer_with_a_variable(free + 32, 64, filled(64, 4));
  EXPECT_EQ(get_variable(), CUDA_ERROR_OUT_OF_MEMORY);
  answer_with_a_variable(free + 16, 128, filled(128, 4));
  EXPECT_EQ(get_variable(), CUDA_ERROR_UNKNOWN);
  EXPECT_EQ(first(), 1);
  // No address is managed any more.
  answer_with([](Writer& out) {
    const uint32_t is_managed = 0;
    out.array(reinterpret_cast<const std::byte*>(&is_managed), sizeof is_managed);
  });
  EXPECT_EQ(table_.cuModuleUnload(reinterpret_cast<CUmodule>(0x10)), CUDA_SUCCESS);
  EXPECT_FALSE(is_mapped(free));
  answer_with_a_variable(free + 16, 64, filled(64, 5));
  EXPECT_EQ(get_variable(), CUDA_SUCCESS);
  EXPECT_EQ(first(), 5);
}

TEST_F(HostileServer, AContextTakesItsManagedMemoryWithIt) {
  const uint64_t variable = Pages(1).begin();
  answer_with_a_variable(variable, 64, filled(64, 1));
  ASSERT_EQ(get_variable(), CUDA_SUCCESS);
  const uint64_t memory = Pages(1).begin();
  ASSERT_NE(memory, variable);
  CUdeviceptr address = 0;
  answer_with([&](Writer& out) { out.value(memory); });
  ASSERT_EQ(table_.cuMemAllocManaged(&address, 128, CU_MEM_ATTACH_GLOBAL), CUDA_SUCCESS);
  ASSERT_TRUE(is_mapped(memory));
  answer_with([](Writer& out) {  // no address is managed
    const uint32_t is_managed = 0;
    out.array(reinterpret_cast<const std::byte*>(&is_managed), sizeof is_managed);
  });
  EXPECT_EQ(table_.cuDevicePrimaryCtxReset_v2(0), CUDA_SUCCESS);
  EXPECT_FALSE(is_mapped(variable));
  EXPECT_FALSE(is_mapped(memory));
  answer_with_a_variable(variable, 64, filled(64, 2));
  EXPECT_EQ(get_variable(), CUDA_SUCCESS);
  EXPECT_EQ(*reinterpret_cast<const volatile uint8_t*>(variable), 2);
}

TEST_F(HostileServer, ManagedMemoryTakesNoMemoryThatTheProgramHas) {
  const Pages own(2);
  CUdeviceptr address = 0;
  for (const uint64_t said :
       {own.begin(), own.begin() - 64, own.end() - 64, uint64_t{0}, ~uint64_t{0} - 64}) {
    answer_with([&](Writer& out) { out.value(said); });
    EXPECT_EQ(table_.cuMemAllocManaged(&address, 128, CU_MEM_ATTACH_GLOBAL), CUDA_ERROR_OUT_OF_MEMORY);
    EXPECT_TRUE(own.are_untouched());
  }
}

TEST_F(HostileServer, ParametersThatCannotBeMakeNoFunction) {
  const std::vector<FunctionParameter> cases[] = {
      {{0, kMaxParameterBytes + 1}},
      {{~uint32_t{0} - 3, 8}},
      {{1 << 20, 8}, {0, 8}},
      {{0, 8}, {4, 8}},
      std::vector<FunctionParameter>(kMaxParameters + 1, FunctionParameter{0, 0}),
  };
  uint64_t word = 0;
  std::vector<void*> parameters(kMaxParameters + 1, &word);
  uintptr_t handle = 0x1000;
  for (const auto& one : cases) {
    answer_with([&](Writer& out) {
      out.value<uint32_t>(1);
      out.array(one.data(), one.size());
    });
    handle += 16;
    EXPECT_EQ(table_.cuLaunchKernel(reinterpret_cast<CUfunction>(handle), 1, 1, 1, 1, 1, 1, 0, nullptr,
                                    parameters.data(), nullptr),
              CUDA_ERROR_INVALID_HANDLE);
  }
}

TEST_F(HostileServer, NoMoreIsSaidToBeThereThanWasWritten) {
  std::vector<CUgraphNode> nodes(8, reinterpret_cast<CUgraphNode>(0x77));
  size_t count = 2;
  answer_with([&](Writer& out) {
    const std::vector<CUgraphNode> many(5);
    out.array(many.data(), many.size());
    const size_t said = 1000;
    out.array(&said, 1);
  });
  EXPECT_EQ(table_.cuGraphGetNodes(reinterpret_cast<CUgraph>(0x20), nodes.data(), &count), CUDA_SUCCESS);
  EXPECT_EQ(count, 2u);
  EXPECT_EQ(nodes[1], nullptr);
  EXPECT_EQ(nodes[2], reinterpret_cast<CUgraphNode>(0x77));

  answer_with([&](Writer& out) {
    CUDA_MEM_ALLOC_NODE_PARAMS params{};
    params.accessDescCount = 1000;
    out.value(params);
    const CUmemAccessDesc access{};
    out.array(&access, 1);
  });
  CUDA_MEM_ALLOC_NODE_PARAMS params{};
  EXPECT_EQ(table_.cuGraphMemAllocNodeGetParams(reinterpret_cast<CUgraphNode>(0x30), &params), CUDA_SUCCESS);
  EXPECT_EQ(params.accessDescCount, 1u);

  answer_with([&](Writer& out) {
    out.value(CU_STREAM_CAPTURE_STATUS_ACTIVE);
    out.value<cuuint64_t>(1);
    out.value<uint64_t>(0x40);
    out.array(nodes.data(), nodes.size());
    const CUgraphEdgeData edge{};
    out.array(&edge, 1);
  });
  CUstreamCaptureStatus status{};
  EXPECT_EQ(table_.cuStreamGetCaptureInfo_v3(nullptr, &status, nullptr, nullptr, nullptr, nullptr, nullptr),
            CUDA_ERROR_UNKNOWN);
}

}  // namespace
}  // namespace tessera::remote
