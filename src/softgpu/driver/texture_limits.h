// The largest textures, surfaces and arrays: CUDA C++ Programming Guide, "Technical Specifications per
// Compute Capability". From 7.5 to 9.0, all that a model can be, they are the same.
#pragma once

namespace tessera::softgpu {

inline constexpr int kMaxTexture1D = 131072;
inline constexpr int kMaxTexture1DMipmapped = 32768;
inline constexpr int kMaxTexture1DLinear = 1 << 28;
inline constexpr int kMaxTexture2DWidth = 131072;
inline constexpr int kMaxTexture2DHeight = 65536;
inline constexpr int kMaxTexture2DLinearHeight = 65000;
inline constexpr int kMaxTexture2DLinearPitch = 2097120;
inline constexpr int kMaxTexture2DMipmapped = 32768;
inline constexpr int kMaxTexture2DGather = 32768;
inline constexpr int kMaxTexture3D = 16384;
inline constexpr int kMaxTexture3DAlternate = 8192;  // width and height, with the greater depth
inline constexpr int kMaxTexture3DAlternateDepth = 32768;
inline constexpr int kMaxTextureLayered = 32768;  // width and height
inline constexpr int kMaxTextureLayers = 2048;
inline constexpr int kMaxTextureCubemap = 32768;
inline constexpr int kMaxTextureCubemapLayers = 2046;

inline constexpr int kMaxSurface1D = 32768;
inline constexpr int kMaxSurface2DWidth = 131072;
inline constexpr int kMaxSurface2DHeight = 65536;
inline constexpr int kMaxSurface3D = 16384;
inline constexpr int kMaxSurfaceLayered = 32768;
inline constexpr int kMaxSurfaceLayers = 2048;
inline constexpr int kMaxSurfaceCubemap = 32768;
inline constexpr int kMaxSurfaceCubemapLayers = 2046;

// What linear memory bound to a texture must be aligned to.
inline constexpr int kTextureAlignment = 512;
inline constexpr int kTexturePitchAlignment = 32;

}  // namespace tessera::softgpu
