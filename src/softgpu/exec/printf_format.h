// printf as device code calls it: C's conversions over arguments packed in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace tessera::softgpu::exec {

// The next packed argument of 4 or 8 bytes, at its natural alignment.
using ArgumentReader = std::function<uint64_t(size_t bytes)>;
using StringReader = std::function<std::string(uint64_t address)>;

// `count` gets the number of arguments printed, which is what device printf returns. %n is not a conversion.
std::string format_device_printf(std::string_view format, const ArgumentReader& next,
                                 const StringReader& string, int* count);

}  // namespace tessera::softgpu::exec
