// Small text helpers. No locale, no exceptions.
#pragma once

#include <cstdarg>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tessera {

std::string str_format(const char* format, ...) __attribute__((format(printf, 1, 2)));
std::string str_format_list(const char* format, va_list arguments) __attribute__((format(printf, 1, 0)));

std::string_view trim(std::string_view text);
// "a,b,,c" by ',' gives {"a","b","","c"}; an empty text gives {""}.
std::vector<std::string_view> split(std::string_view text, char separator);

// Decimal, or hexadecimal after "0x". The whole text must be the number; nothing else is accepted.
std::optional<uint64_t> parse_uint(std::string_view text);

// The value of an environment variable, or `fallback` where it is unset or empty.
std::string env_or(const char* name, std::string_view fallback);

}  // namespace tessera
