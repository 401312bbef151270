#include "remote/client/journal.h"

#include <gtest/gtest.h>

#include <cstring>

#include "remote/ops.h"
#include "remote/wire/handle_id.h"
#include "remote/wire/writer.h"

namespace tessera::remote {
namespace {

template <typename Kind>
std::vector<std::byte> message(Kind kind, const std::vector<uint64_t>& words) {
  const MessageHeader header{static_cast<uint32_t>(sizeof(MessageHeader) + words.size() * 8),
                             static_cast<uint16_t>(kind), 0};
  std::vector<std::byte> bytes(sizeof header);
  memcpy(bytes.data(), &header, sizeof header);
  for (const uint64_t word : words) Writer(bytes).value(word);
  return bytes;
}

std::vector<std::byte> fields(const std::vector<uint64_t>& words) {
  std::vector<std::byte> bytes;
  for (const uint64_t word : words) Writer(bytes).value(word);
  return bytes;
}

JournalEntry entry(std::vector<std::byte> said, std::vector<std::byte> answer = {},
                   const std::string& payload = "") {
  JournalEntry one;
  one.message = std::move(said);
  one.role = journal_role(one.op(), one.message);
  one.answer = std::move(answer);
  const auto bytes = std::as_bytes(std::span(payload));
  one.payload.assign(bytes.begin(), bytes.end());
  return one;
}

constexpr uint64_t kModule = handle_id(HandleKind::kCUmodule, 1),
                   kFunction = handle_id(HandleKind::kCUfunction, 2),
                   kStream = handle_id(HandleKind::kCUstream, kOfClient | 1), kAddress = 0x110000000000;

JournalEntry alloc(uint64_t address, uint64_t bytes) {
  return entry(message(Op::cuMemAlloc_v2, {1, bytes}), fields({1, address}));
}
JournalEntry load(const std::string& code) {
  return entry(message(Op::cuModuleLoadDataEx, {0, 1, code.size(), 0, 0}), fields({1, kModule}), code);
}
JournalEntry launch() { return entry(message(Op::cuLaunchKernel, {kFunction, kStream, 0, 0, 0, 0, 0})); }

class Journals : public testing::Test {
 protected:
  void add(JournalEntry one) { journal.add(journal.next_number(), std::move(one)); }
  std::vector<uint16_t> made() const {
    std::vector<uint16_t> ops;
    for (const JournalEntry& one : journal.made()) ops.push_back(one.op());
    return ops;
  }
  Journal journal;
};

TEST_F(Journals, CallsMeanWhatTheyDo) {
  EXPECT_EQ(journal_role(static_cast<uint16_t>(Op::cuMemGetInfo_v2), {}), JournalRole::kAsks);
  EXPECT_EQ(journal_role(static_cast<uint16_t>(Op::cuStreamSynchronize), {}), JournalRole::kAsks);
  EXPECT_EQ(journal_role(static_cast<uint16_t>(Op::cuLaunchKernel), {}), JournalRole::kWorks);
  EXPECT_EQ(journal_role(static_cast<uint16_t>(Op::cuMemFree_v2), {}), JournalRole::kEnds);
  // What makes, waits for or changes things that are not followed is never taken for a question.
  for (const Op op : {Op::cuGraphLaunch, Op::cuMemAllocManaged, Op::cuArrayCreate_v2, Op::cuIpcGetMemHandle,
                      Op::cuLaunchHostFunc, Op::cuStreamBeginCapture_v2, Op::cuMemCreate,
                      Op::cuTexObjectCreate, Op::cuStreamWriteValue32, Op::cuStreamWaitValue32,
                      Op::cuMemcpyAtoH_v2, Op::cuGraphGetNodes, Op::cuModuleGetTexRef, Op::cuCtxDetach})
    EXPECT_EQ(journal_role(static_cast<uint16_t>(op), {}), JournalRole::kUnknown)
        << kCallNames[static_cast<size_t>(op)];
  EXPECT_EQ(journal_role(static_cast<uint16_t>(Message::kHostWatch), {}), JournalRole::kUnknown);
}

TEST_F(Journals, ACheckpointForgetsWorkAndWhatHasEnded) {
  add(load(".version 6.3 .entry nothing() {}"));
  add(entry(message(Op::cuModuleGetFunction, {kModule}), fields({kFunction})));
  add(entry(message(Op::cuStreamCreateWithPriority, {kStream, 0, 0})));
  add(alloc(kAddress, 4096));
  add(alloc(kAddress + 4096, 100));
  add(launch());
  add(entry(message(Op::cuMemFree_v2, {kAddress})));
  add(alloc(kAddress, 200));
  ASSERT_EQ(journal.blocks().size(), 2U);
  EXPECT_EQ(journal.blocks()[0].bytes, 100U);
  EXPECT_EQ(journal.blocks()[1].bytes, 200U) << "its address has been another's before";
  EXPECT_GT(journal.bytes(), 0U);
  journal.checkpoint({{kAddress, std::vector<std::byte>(200)}});
  EXPECT_EQ(journal.bytes(), 0U);
  EXPECT_EQ(journal.entries(), 0U);
  EXPECT_EQ(made(),
            (std::vector<uint16_t>{
                static_cast<uint16_t>(Op::cuModuleLoadDataEx), static_cast<uint16_t>(Op::cuModuleGetFunction),
                static_cast<uint16_t>(Op::cuStreamCreateWithPriority),
                static_cast<uint16_t>(Op::cuMemAlloc_v2), static_cast<uint16_t>(Op::cuMemAlloc_v2)}));
  EXPECT_EQ(journal.content().size(), 1U);
  // The module goes, and its function with it, though nobody has said so.
  add(entry(message(Op::cuModuleUnload, {kModule})));
  add(entry(message(Op::cuStreamDestroy_v2, {kStream})));
  journal.checkpoint({});
  EXPECT_EQ(made().size(), 2U);
}

TEST_F(Journals, WhatIsMadeTwiceEndsTwice) {
  const auto retain = [] {
    return entry(message(Op::cuDevicePrimaryCtxRetain, {1, 0}),
                 fields({1, handle_id(HandleKind::kCUcontext, 1)}));
  };
  add(retain());
  add(retain());
  add(entry(message(Op::cuDevicePrimaryCtxRelease_v2, {0})));
  journal.checkpoint({});
  EXPECT_EQ(made().size(), 1U);
  add(entry(message(Op::cuDevicePrimaryCtxRelease_v2, {0})));
  journal.checkpoint({});
  EXPECT_TRUE(made().empty());
}

TEST_F(Journals, CodeThatMayHaveVariablesIsKnown) {
  add(
      load(".version 6.3\n.visible .entry a(.param .u64 p) { ld.global.u32 %r1, [%rd1]; st.global.u32 "
           "[%rd1], %r1; ret; }"));
  EXPECT_FALSE(journal.has_variables());
  for (const char* code :
       {".version 6.3\n.visible .global .align 4 .u32 counter;", ".version 6.3\n.const .b8 table[4];",
        ".version 6.3\n.extern .func (.param .b64 r) malloc (.param .b64 n);", "packed"}) {
    Journal other;
    other.add(other.next_number(), load(code));
    EXPECT_TRUE(other.has_variables()) << code;
    other.add(other.next_number(), entry(message(Op::cuModuleUnload, {kModule})));
    EXPECT_FALSE(other.has_variables()) << code;
  }
}

}  // namespace
}  // namespace tessera::remote
