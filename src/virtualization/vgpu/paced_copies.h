// Copies between the host and a device where the daemon has an eye on them: see CopyPace.
#pragma once

#include <array>
#include <concepts>

#include "common/clock.h"
#include "virtualization/vgpu/copied_bytes.h"

namespace tessera::vgpu {

inline CUdeviceptr further(CUdeviceptr from, size_t bytes) { return from + bytes; }
inline void* further(void* from, size_t bytes) { return static_cast<char*>(from) + bytes; }
inline const void* further(const void* from, size_t bytes) { return static_cast<const char*>(from) + bytes; }

template <typename T>
concept Address = std::same_as<T, CUdeviceptr> || std::same_as<T, void*> || std::same_as<T, const void*>;

// Copies that go byte by byte from one address to another can be made in pieces.
template <typename Once, Address To, Address From, typename... Rest>
CUresult copy_in_pieces(CopyPace& pace, HostCopy way, const Once& once, To to, From from, size_t bytes,
                        Rest... rest) {
  size_t done = 0;
  CUresult result = CUDA_SUCCESS;
  do {
    const size_t piece = std::min<uint64_t>(bytes - done, pace.piece(way));
    pace.wait(way, piece);
    const uint64_t begin_ns = monotonic_ns();
    result = once(further(to, done), further(from, done), piece, rest...);
    pace.took(way, piece, monotonic_ns() - begin_ns);
    done += piece;
  } while (result == CUDA_SUCCESS && done < bytes);
  return result;
}

template <typename Copied, typename Once, typename... Args>
CUresult copy_at_pace(CopyPace& pace, const Once& once, Args... args) {
  std::array<uint64_t, kHostCopies> bytes{};
  const auto add = [&bytes](CopiedBytes copied) {
    if (copied.way == CopyWay::kToDevice) bytes[static_cast<size_t>(HostCopy::kToDevice)] += copied.bytes;
    if (copied.way == CopyWay::kFromDevice) bytes[static_cast<size_t>(HostCopy::kFromDevice)] += copied.bytes;
  };
  Copied::visit(add, args...);
  for (const HostCopy way : {HostCopy::kToDevice, HostCopy::kFromDevice}) {
    if (bytes[static_cast<size_t>(way)] == 0) continue;
    if constexpr (requires { copy_in_pieces(pace, way, once, args...); }) {
      return copy_in_pieces(pace, way, once, args...);
    } else {
      pace.wait(way, bytes[static_cast<size_t>(way)]);
    }
  }
  return once(args...);
}

}  // namespace tessera::vgpu
