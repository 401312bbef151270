// Constants that CUDA's header spells as macros.
#pragma once

#include "cuda/abi/handles.h"

inline constexpr int CUDA_VERSION = 13000;
inline constexpr int CU_UUID_SIZE = 16;
inline constexpr CUdevice CU_DEVICE_CPU = -1;
inline constexpr CUdevice CU_DEVICE_INVALID = -2;
inline constexpr int CU_IPC_HANDLE_SIZE = 64;

// The default streams by name. Stream 0 means one or the other, as the entry's suffix says.
#define CU_STREAM_LEGACY (reinterpret_cast<CUstream>(uintptr_t{0x1}))
#define CU_STREAM_PER_THREAD (reinterpret_cast<CUstream>(uintptr_t{0x2}))

inline constexpr unsigned CU_MEMHOSTALLOC_PORTABLE = 0x01;
inline constexpr unsigned CU_MEMHOSTALLOC_DEVICEMAP = 0x02;
inline constexpr unsigned CU_MEMHOSTALLOC_WRITECOMBINED = 0x04;
inline constexpr unsigned CU_MEMHOSTREGISTER_PORTABLE = 0x01;
inline constexpr unsigned CU_MEMHOSTREGISTER_DEVICEMAP = 0x02;
inline constexpr unsigned CU_MEMHOSTREGISTER_IOMEMORY = 0x04;
inline constexpr unsigned CU_MEMHOSTREGISTER_READ_ONLY = 0x08;

// Keys of cuLaunchKernel's `extra` list.
#define CU_LAUNCH_PARAM_END (reinterpret_cast<void*>(uintptr_t{0x00}))
#define CU_LAUNCH_PARAM_BUFFER_POINTER (reinterpret_cast<void*>(uintptr_t{0x01}))
#define CU_LAUNCH_PARAM_BUFFER_SIZE (reinterpret_cast<void*>(uintptr_t{0x02}))

inline constexpr unsigned CUDA_ARRAY3D_LAYERED = 0x01;
inline constexpr unsigned CUDA_ARRAY3D_SURFACE_LDST = 0x02;
inline constexpr unsigned CUDA_ARRAY3D_CUBEMAP = 0x04;
inline constexpr unsigned CUDA_ARRAY3D_TEXTURE_GATHER = 0x08;
inline constexpr unsigned CUDA_ARRAY3D_DEPTH_TEXTURE = 0x10;
inline constexpr unsigned CUDA_ARRAY3D_COLOR_ATTACHMENT = 0x20;
inline constexpr unsigned CUDA_ARRAY3D_SPARSE = 0x40;
inline constexpr unsigned CUDA_ARRAY3D_DEFERRED_MAPPING = 0x80;

inline constexpr unsigned CU_TRSF_READ_AS_INTEGER = 0x01;
inline constexpr unsigned CU_TRSF_NORMALIZED_COORDINATES = 0x02;
inline constexpr unsigned CU_TRSF_SRGB = 0x10;
inline constexpr unsigned CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION = 0x20;
inline constexpr unsigned CU_TRSF_SEAMLESS_CUBEMAP = 0x40;
inline constexpr unsigned CU_TRSA_OVERRIDE_FORMAT = 0x01;
inline constexpr int CU_PARAM_TR_DEFAULT = -1;
