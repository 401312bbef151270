// Inputs for fuzz_remote_worker to begin with: each message by itself, in a world where it makes sense; first
// as sound as it can be, then less and less so. They follow from the tables of calls.
//
//   make_remote_seeds FOLDER
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "remote/worker/serving.h"
#include "tests/fuzz/remote/composer.h"

namespace {

using namespace tessera::remote;  // NOLINT(google-build-using-namespace): a program
using fuzz::Composer, fuzz::Decisions, fuzz::kMostDecisions, fuzz::kSound;

constexpr int kInputs = 4;      // of each call
constexpr int kOwnInputs = 16;  // of each message that is none: they have more forms
constexpr int kMessages = 6;    // in each

class Maker {
 public:
  explicit Maker(std::string folder) : folder_(std::move(folder)) {}

  // `how`: the first byte of a decision for such a message, without what is about threads.
  bool make(const std::string& name, uint8_t how, uint16_t choice, int inputs) {
    for (int input = 0; input < inputs; ++input) {
      // A driver that says yes to everything; memory that both sides see or not; content is kept; and a
      // world, of which the server places the memory or not.
      std::vector<uint8_t> bytes(8 + 1 + 1, 0);
      if (input % 4 >= 2) bytes[0] = static_cast<uint8_t>(input);
      bytes[8] = static_cast<uint8_t>(2 + input % 2);
      bytes[9] = static_cast<uint8_t>(input / 2 % 2 * 4);
      for (int message = 0; message < kMessages; ++message) add(bytes, input, how, choice);
      std::ofstream file(folder_ + "/" + name + "." + std::to_string(input), std::ios::binary);
      file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      if (!file.flush()) return false;
    }
    return true;
  }

 private:
  void add(std::vector<uint8_t>& bytes, int input, uint8_t how, uint16_t choice) {
    std::vector<uint8_t> message = {how, static_cast<uint8_t>(choice), static_cast<uint8_t>(choice >> 8)};
    // Of a thread or another, with its own stream or not, and with an answer or without.
    if (input > 1) message[0] |= random_() % 16;
    while (message.size() < kMostDecisions) message.push_back(decision(input));
    // How many of them it takes does not depend on what is there.
    Decisions decisions(message);
    Composer composer(decisions);
    std::vector<std::byte> stream;
    composer.next(stream);
    message.resize(message.size() - decisions.left());
    bytes.insert(bytes.end(), message.begin(), message.end());
  }
  uint8_t decision(int input) {
    if (input == 0) return kSound;
    const auto any = static_cast<uint8_t>(random_());
    const bool is_sound = random_() % 16 >= static_cast<uint64_t>(input % 8);
    return is_sound ? static_cast<uint8_t>(64 + any % 160) : any;
  }

  const std::string folder_;
  std::mt19937_64 random_{1};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::filesystem::create_directories(argv[1]);
  Maker maker(argv[1]);
  bool is_made = true;
  for (uint16_t op = 0; op < kCalls; ++op) {
    const bool is_taken = kServes[op] != nullptr || own_serve(op) != nullptr;
    if (is_taken) is_made = maker.make(kCallNames[op], 0x50, op, kInputs) && is_made;
  }
  for (uint16_t op = 0; op < fuzz::kOwnMessages; ++op)
    is_made = maker.make("message" + std::to_string(op), 0, op, kOwnInputs) && is_made;
  if (!is_made) perror(argv[1]);
  return is_made ? 0 : 1;
}
