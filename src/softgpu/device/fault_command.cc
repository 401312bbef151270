#include "softgpu/device/fault_command.h"

#include <algorithm>
#include <cstdarg>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "common/strings.h"

namespace tessera::softgpu {
namespace {

using Kind = FaultCommand::Kind;
using Words = std::vector<std::string_view>;

constexpr uint64_t kMaxXid = 9999;
constexpr uint64_t kMaxErrors = 1'000'000;
constexpr uint64_t kMaxTimeoutMs = 3'600'000;
constexpr uint64_t kMaxPermille = 100'000;
constexpr const char* kCommands =
    "xid N, ecc single [count=N], ecc double [address=A [pid=P]] [uncontained], hang [timeout=SECONDS], "
    "slow FACTOR [thermal|power], lost, clear";

__attribute__((format(printf, 1, 2))) Status refused(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::string text = str_format_list(format, arguments);
  va_end(arguments);
  return {Code::kInvalidArgument, std::move(text)};
}

Words words_of(std::string_view line) {
  Words words;
  size_t at = 0;
  while ((at = line.find_first_not_of(" \t\r", at)) != std::string_view::npos) {
    const size_t end = std::min(line.find_first_of(" \t\r", at), line.size());
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

// "2.5" is 2500; up to three places.
std::optional<uint64_t> parse_milli(std::string_view text) {
  const size_t point = std::min(text.find('.'), text.size());
  std::string digits(text.substr(0, point));
  std::string_view places = point < text.size() ? text.substr(point + 1) : "0";
  if (digits.empty() || digits.size() > 9 || places.empty() || places.size() > 3) return std::nullopt;
  digits += places;
  digits.append(3 - places.size(), '0');
  if (digits.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  return parse_uint(digits);
}

std::optional<uint64_t> within(std::optional<uint64_t> value, uint64_t least, uint64_t most) {
  return value && *value >= least && *value <= most ? value : std::nullopt;
}

// The text after "name=", where the word is that.
std::optional<std::string_view> value_of(std::string_view word, std::string_view name) {
  if (word.size() <= name.size() || word.substr(0, name.size()) != name || word[name.size()] != '=')
    return std::nullopt;
  return word.substr(name.size() + 1);
}

Status unexpected(std::string_view word) {
  return refused("\"%.*s\" is not expected here; commands are: %s", static_cast<int>(word.size()),
                 word.data(), kCommands);
}

Result<FaultCommand> parse_xid(const Words& words) {
  FaultCommand command{.kind = Kind::kXid};
  auto number = words.size() == 2 ? within(parse_uint(words[1]), 1, kMaxXid) : std::nullopt;
  if (!number) return refused("xid needs one number from 1 to %d", static_cast<int>(kMaxXid));
  command.number = *number;
  if (command.number == kXidOffTheBus) command.kind = Kind::kLost;
  return command;
}

Result<FaultCommand> parse_single_bit(const Words& words) {
  FaultCommand command{.kind = Kind::kSingleBit};
  for (size_t i = 2; i < words.size(); ++i) {
    auto text = value_of(words[i], "count");
    if (!text) return unexpected(words[i]);
    auto count = within(parse_uint(*text), 1, kMaxErrors);
    if (!count) return refused("count needs a number from 1 to %d", static_cast<int>(kMaxErrors));
    command.number = *count;
  }
  return command;
}

Result<FaultCommand> parse_double_bit(const Words& words) {
  FaultCommand command{.kind = Kind::kDoubleBit};
  constexpr uint64_t kAnyAddress = std::numeric_limits<int64_t>::max();
  for (size_t i = 2; i < words.size(); ++i) {
    if (words[i] == "uncontained") {
      command.uncontained = true;
    } else if (auto address = value_of(words[i], "address")) {
      auto value = within(parse_uint(*address), 1, kAnyAddress);
      if (!value) return refused("address needs a device address, as 0x7f0000000000");
      command.address = *value;
    } else if (auto pid = value_of(words[i], "pid")) {
      auto value = within(parse_uint(*pid), 1, std::numeric_limits<pid_t>::max());
      if (!value) return refused("pid needs the number of a process");
      command.pid = static_cast<pid_t>(*value);
    } else {
      return unexpected(words[i]);
    }
  }
  if (command.pid != 0 && command.address == 0) return refused("pid goes with an address of that process");
  return command;
}

Result<FaultCommand> parse_ecc(const Words& words) {
  if (words.size() >= 2 && words[1] == "single") return parse_single_bit(words);
  if (words.size() >= 2 && words[1] == "double") return parse_double_bit(words);
  return refused("ecc needs \"single\" or \"double\"");
}

Result<FaultCommand> parse_hang(const Words& words) {
  FaultCommand command{.kind = Kind::kHang};
  for (size_t i = 1; i < words.size(); ++i) {
    auto text = value_of(words[i], "timeout");
    if (!text) return unexpected(words[i]);
    auto ms = within(parse_milli(*text), 1, kMaxTimeoutMs);
    if (!ms)
      return refused("timeout needs seconds, from 0.001 to %d", static_cast<int>(kMaxTimeoutMs / 1000));
    command.timeout_ns = *ms * 1'000'000;
  }
  return command;
}

Result<FaultCommand> parse_slow(const Words& words) {
  FaultCommand command{.kind = Kind::kSlow};
  auto permille = words.size() >= 2 ? within(parse_milli(words[1]), 1000, kMaxPermille) : std::nullopt;
  if (!permille) return refused("slow needs a factor from 1 to %d", static_cast<int>(kMaxPermille / 1000));
  command.permille = static_cast<uint32_t>(*permille);
  for (size_t i = 2; i < words.size(); ++i) {
    if (words[i] != "thermal" && words[i] != "power") return unexpected(words[i]);
    command.reason = words[i] == "power" ? SlowReason::kPower : SlowReason::kThermal;
  }
  return command;
}

Result<FaultCommand> parse_plain(Kind kind, const Words& words) {
  if (words.size() > 1) return unexpected(words[1]);
  return FaultCommand{.kind = kind};
}

}  // namespace

Result<FaultCommand> parse_fault_command(std::string_view line) {
  if (line.size() > kMaxCommandBytes)
    return refused("a command has at most %d characters", static_cast<int>(kMaxCommandBytes));
  for (const char c : line) {
    if (c != '\t' && c != '\r' && (c < ' ' || c > '~')) return refused("commands are plain text");
  }
  const Words words = words_of(line);
  if (words.empty()) return refused("no command; commands are: %s", kCommands);
  if (words[0] == "xid") return parse_xid(words);
  if (words[0] == "ecc") return parse_ecc(words);
  if (words[0] == "hang") return parse_hang(words);
  if (words[0] == "slow") return parse_slow(words);
  if (words[0] == "lost") return parse_plain(Kind::kLost, words);
  if (words[0] == "clear") return parse_plain(Kind::kClear, words);
  return unexpected(words[0]);
}

}  // namespace tessera::softgpu
