#include "softgpu/exec/printf_format.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <vector>

namespace tessera::softgpu::exec {
namespace {

// A width or precision asked for by a program may not make us allocate without bound.
constexpr int kMaxFieldWidth = 4096;

struct Conversion {
  std::string flags;
  int width = -1, precision = -1;
  int longs = 0;  // of 'l', with j, t and z counting as one
  int shorts = 0;
  char letter = '\0';
};

bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Formatter {
 public:
  Formatter(std::string_view format, const ArgumentReader& next, const StringReader& string)
      : format_(format), next_(next), string_(string) {}

  std::string run(int* count) {
    while (at_ < format_.size()) {
      if (format_[at_] != '%') {
        out_ += format_[at_++];
        continue;
      }
      const size_t start = at_++;
      if (at_ < format_.size() && format_[at_] == '%') {
        out_ += format_[at_++];
        continue;
      }
      const Conversion conversion = parse();
      // What is no conversion is printed as it stands.
      if (!print(conversion)) out_ += format_.substr(start, at_ - start);
    }
    *count = count_;
    return std::move(out_);
  }

 private:
  int number() {
    if (at_ < format_.size() && format_[at_] == '*') {
      ++at_;
      ++count_;
      return std::clamp(static_cast<int>(static_cast<uint32_t>(next_(4))), -kMaxFieldWidth, kMaxFieldWidth);
    }
    int value = 0;
    while (at_ < format_.size() && is_digit(format_[at_]))
      value = std::min(value * 10 + (format_[at_++] - '0'), kMaxFieldWidth);
    return value;
  }

  Conversion parse() {
    Conversion c;
    while (at_ < format_.size() && std::string_view("-+ #0").find(format_[at_]) != std::string_view::npos)
      c.flags += format_[at_++];
    if (at_ < format_.size() && (format_[at_] == '*' || is_digit(format_[at_]))) c.width = number();
    if (c.width < -1) {
      c.flags += '-';
      c.width = -c.width;
    }
    if (at_ < format_.size() && format_[at_] == '.') {
      ++at_;
      c.precision = number();
    }
    while (at_ < format_.size() && std::string_view("lhjztqL").find(format_[at_]) != std::string_view::npos) {
      (format_[at_] == 'h' ? c.shorts : c.longs) += 1;
      ++at_;
    }
    if (at_ < format_.size()) c.letter = format_[at_++];
    return c;
  }

  template <class T>
  void put(const Conversion& c, const char* length, T value) {
    std::string spec = "%" + c.flags;
    if (c.width >= 0) spec += std::to_string(c.width);
    if (c.precision >= 0) spec += "." + std::to_string(c.precision);
    spec += length;
    spec += c.letter;
    std::vector<char> buffer(static_cast<size_t>(std::max(c.width, 0)) +
                             static_cast<size_t>(std::max(c.precision, 0)) + 512);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    std::snprintf(buffer.data(), buffer.size(), spec.c_str(), value);
#pragma GCC diagnostic pop
    out_ += buffer.data();
  }

  void put_text(const Conversion& c, std::string text) {
    if (c.precision >= 0) text.resize(std::min(text.size(), static_cast<size_t>(c.precision)));
    const size_t width = static_cast<size_t>(std::max(c.width, 0));
    const size_t padding = width > text.size() ? width - text.size() : 0;
    const bool left = c.flags.find('-') != std::string::npos;
    out_ += left ? text + std::string(padding, ' ') : std::string(padding, ' ') + text;
  }

  bool print(const Conversion& c) {
    switch (c.letter) {
      case 'd':
      case 'i': {
        int64_t value = c.longs > 0 ? static_cast<int64_t>(next_(8))
                                    : static_cast<int32_t>(static_cast<uint32_t>(next_(4)));
        if (c.shorts == 1) value = static_cast<int16_t>(value);
        if (c.shorts > 1) value = static_cast<int8_t>(value);
        put(c, "ll", static_cast<long long>(value));
        break;
      }
      case 'u':
      case 'x':
      case 'X':
      case 'o': {
        uint64_t value = c.longs > 0 ? next_(8) : next_(4) & 0xffffffff;
        if (c.shorts == 1) value &= 0xffff;
        if (c.shorts > 1) value &= 0xff;
        put(c, "ll", static_cast<unsigned long long>(value));
        break;
      }
      case 'c':
        put_text(c, std::string(1, static_cast<char>(next_(4))));
        break;
      case 'p':
        put(c, "", reinterpret_cast<void*>(static_cast<uintptr_t>(next_(8))));
        break;
      case 's':
        put_text(c, string_(next_(8)));
        break;
      case 'f':
      case 'F':
      case 'e':
      case 'E':
      case 'g':
      case 'G':
      case 'a':
      case 'A':
        put(c, "", std::bit_cast<double>(next_(8)));
        break;
      default:
        return false;
    }
    ++count_;
    return true;
  }

  std::string_view format_;
  const ArgumentReader& next_;
  const StringReader& string_;
  std::string out_;
  size_t at_ = 0;
  int count_ = 0;
};

}  // namespace

std::string format_device_printf(std::string_view format, const ArgumentReader& next,
                                 const StringReader& string, int* count) {
  return Formatter(format, next, string).run(count);
}

}  // namespace tessera::softgpu::exec
