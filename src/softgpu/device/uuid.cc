#include "softgpu/device/uuid.h"

#include <unistd.h>

#include <string_view>

#include "common/fd.h"
#include "common/strings.h"

namespace tessera::softgpu {
namespace {

// FNV-1a, 64 bits: identity, not secrecy.
uint64_t hash(uint64_t seed, std::string_view text) {
  uint64_t value = 0xcbf29ce484222325 ^ seed;
  for (unsigned char c : text) value = (value ^ c) * 0x100000001b3;
  return value ^ (value >> 29);
}

std::string machine_name() {
  for (const char* path : {"/etc/machine-id", "/proc/sys/kernel/random/boot_id"}) {
    auto text = read_file(path, 256);
    if (text.ok() && !trim(*text).empty()) return std::string(trim(*text));
  }
  char name[256] = {};
  return gethostname(name, sizeof name - 1) == 0 ? name : "localhost";
}

}  // namespace

DeviceUuid device_uuid(int physical_index) {
  const std::string text = str_format("softgpu %s %d", machine_name().c_str(), physical_index);
  DeviceUuid uuid;
  for (size_t half = 0; half < 2; ++half) {
    uint64_t value = hash(half + 1, text);
    for (size_t i = 0; i < 8; ++i) uuid[half * 8 + i] = static_cast<uint8_t>(value >> (8 * i));
  }
  uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x80);  // version 8 of RFC 9562: made by rules of our own
  uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);  // variant of that RFC
  return uuid;
}

std::string format_uuid(const DeviceUuid& uuid) {
  std::string text = "GPU-";
  for (size_t i = 0; i < uuid.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += str_format("%02x", uuid[i]);
  }
  return text;
}

}  // namespace tessera::softgpu
