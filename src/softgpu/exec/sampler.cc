#include "softgpu/exec/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "softgpu/exec/cubemap.h"

namespace tessera::softgpu::exec {
namespace {

// One picture: a level of a texture, of a layer and a face where it has them, and a place in it.
struct View {
  const Texture& texture;
  const TextureLevel& level;
  uint64_t slice = 0;
  std::array<double, 3> at = {};  // in texels, before the offset
  std::array<int32_t, 3> offset = {};
};

// Within what an index can hold; 0 for what is no number.
double position(double x) {
  constexpr double kFarthest = 1e15;
  return std::isnan(x) ? 0 : std::clamp(x, -kFarthest, kFarthest);
}

Direction as_direction(const std::array<float, 3>& at) { return {at[0], at[1], at[2]}; }

View view_of(const Texture& texture, const TexturePoint& point, size_t level) {
  View view{texture, texture.levels[level], std::min(point.layer, texture.layers - 1), {}, point.offset};
  if (texture.cubemap) {
    const FacePoint on_face = project(as_direction(point.at));
    view.slice = view.slice * kCubeFaces + on_face.face;
    view.at = {position(on_face.s * view.level.extent[0]), position(on_face.t * view.level.extent[1]), 0};
    return view;
  }
  for (uint32_t d = 0; d < texture.dimensions; ++d) {
    const double scale = texture.normalized_coordinates ? view.level.extent[d] : 1;
    view.at[d] = position(static_cast<double>(point.at[d]) * scale);
  }
  return view;
}

float channel_of(const Texel& texel, size_t channel) { return std::bit_cast<float>(texel[channel]); }

// Of a position: one that an integer holds. The libraries' functions are calls on processors without SSE4.1.
int64_t floor_of(double x) {
  const auto towards_zero = static_cast<int64_t>(x);
  return towards_zero - (static_cast<double>(towards_zero) > x ? 1 : 0);
}

// Of a fraction from 0 to 1.
float weight_of(double fraction) { return static_cast<float>(floor_of(fraction * 256 + 0.5)) / 256; }

// A texel beyond an edge is the one of the next face that its centre's direction meets: that is always the
// one beside it. Beyond a corner there is none: it is the mean of the three that meet there.
void read_seamless(const View& view, TexelIndex at, Texel& texel) {
  const auto last = int64_t{view.level.extent[0]} - 1;
  const TexelIndex nearest = {std::clamp<int64_t>(at[0], 0, last), std::clamp<int64_t>(at[1], 0, last), 0};
  const bool beyond_s = at[0] != nearest[0], beyond_t = at[1] != nearest[1];
  if (beyond_s == beyond_t) read_texel(view.texture, view.level, view.slice, nearest, true, texel);
  if (!beyond_s && !beyond_t) return;
  if (beyond_s && beyond_t) {
    if (!view.texture.reads_floats()) return;
    Texel in_s, in_t;
    read_seamless(view, {at[0], nearest[1], 0}, in_s);
    read_seamless(view, {nearest[0], at[1], 0}, in_t);
    for (size_t c = 0; c < texel.size(); ++c)
      texel[c] =
          std::bit_cast<uint32_t>((channel_of(texel, c) + channel_of(in_s, c) + channel_of(in_t, c)) / 3);
    return;
  }
  const double size = view.level.extent[0];
  const auto face = static_cast<uint32_t>(view.slice % kCubeFaces);
  const FacePoint next = project(direction_of(
      FacePoint{face, (static_cast<double>(at[0]) + 0.5) / size, (static_cast<double>(at[1]) + 0.5) / size}));
  const TexelIndex there = {std::clamp<int64_t>(static_cast<int64_t>(next.s * size), 0, last),
                            std::clamp<int64_t>(static_cast<int64_t>(next.t * size), 0, last), 0};
  read_texel(view.texture, view.level, view.slice - face + next.face, there, true, texel);
}

void read(const View& view, const TexelIndex& at, Texel& texel) {
  if (view.texture.seamless) return read_seamless(view, at, texel);
  read_texel(view.texture, view.level, view.slice, at, view.texture.normalized_coordinates, texel);
}

// The texels that a linear filter weighs: the lowest, and the weight of the next in each dimension.
struct Footprint {
  TexelIndex low{};
  std::array<float, 3> weight{};
};
Footprint footprint_of(const View& view) {
  Footprint footprint;
  for (uint32_t d = 0; d < view.texture.dimensions; ++d) {
    const double x = view.at[d] - 0.5;
    const int64_t low = floor_of(x);
    footprint.low[d] = low + view.offset[d];
    footprint.weight[d] = weight_of(x - static_cast<double>(low));
  }
  return footprint;
}

Texel filtered(const View& view) {
  const Footprint footprint = footprint_of(view);
  std::array<float, 4> sum{};
  Texel texel;
  for (uint32_t corner = 0; corner < 1u << view.texture.dimensions; ++corner) {
    TexelIndex index{};
    float share = 1;
    for (uint32_t d = 0; d < view.texture.dimensions; ++d) {
      const bool high = (corner >> d & 1) != 0;
      index[d] = footprint.low[d] + (high ? 1 : 0);
      share *= high ? footprint.weight[d] : 1 - footprint.weight[d];
    }
    if (share == 0) continue;  // infinities beside the point do not count
    read(view, index, texel);
    for (uint32_t c = 0; c < view.texture.channels; ++c) sum[c] += share * channel_of(texel, c);
  }
  return std::bit_cast<Texel>(sum);
}

Texel sample_level(const Texture& texture, const TexturePoint& point, size_t level) {
  const View view = view_of(texture, point, level);
  if (texture.linear_filter && texture.reads_floats()) return filtered(view);
  TexelIndex index{};
  for (uint32_t d = 0; d < texture.dimensions; ++d) index[d] = floor_of(view.at[d]) + view.offset[d];
  Texel texel;
  read(view, index, texel);
  return texel;
}

// A level that is no number, as of coordinates that are none, is the largest.
float clamped(const Texture& texture, float level) {
  if (std::isnan(level)) level = 0;
  const auto last = static_cast<float>(texture.levels.size() - 1);
  if (texture.mipmapped) level = std::max(std::min(level, texture.greatest_level), texture.least_level);
  return std::clamp(level, 0.0f, last);
}

// In texels of the largest level.
double way(const Texture& texture, const TexturePoint& point, const std::array<float, 3>& step) {
  const TextureLevel& level = texture.levels[0];
  double square = 0;
  if (texture.cubemap) {
    const auto on_face = projected_step(as_direction(point.at), as_direction(step));
    for (const double part : on_face) square += part * part;
    return std::sqrt(square) * level.extent[0];
  }
  for (uint32_t d = 0; d < texture.dimensions; ++d) {
    const double part = double{step[d]} * (texture.normalized_coordinates ? level.extent[d] : 1);
    square += part * part;
  }
  return std::sqrt(square);
}

}  // namespace

float level_of(const Texture& texture, float asked) { return clamped(texture, asked + texture.level_bias); }

float base_level(const Texture& texture) { return clamped(texture, 0); }

float level_of_gradients(const Texture& texture, const TexturePoint& point, const std::array<float, 3>& dx,
                         const std::array<float, 3>& dy) {
  const double longer = std::max(way(texture, point, dx), way(texture, point, dy));
  return level_of(texture, static_cast<float>(std::log2(longer)));
}

Texel sample(const Texture& texture, const TexturePoint& point, float level) {
  if (!texture.linear_mipmap_filter || !texture.reads_floats())
    return sample_level(texture, point, static_cast<size_t>(level + 0.5f));
  const auto lower = static_cast<size_t>(level);
  const float weight = weight_of(double{level} - static_cast<double>(lower));
  if (weight == 0) return sample_level(texture, point, lower);
  Texel mean = sample_level(texture, point, lower);
  const Texel next = sample_level(texture, point, lower + 1);
  for (size_t c = 0; c < mean.size(); ++c)
    mean[c] = std::bit_cast<uint32_t>((1 - weight) * channel_of(mean, c) + weight * channel_of(next, c));
  return mean;
}

Texel gather(const Texture& texture, const TexturePoint& point, uint32_t component) {
  const View view = view_of(texture, point, 0);
  const TexelIndex low = footprint_of(view).low;
  constexpr std::array<std::array<int64_t, 2>, 4> kOrder = {{{0, 1}, {1, 1}, {1, 0}, {0, 0}}};
  Texel gathered{}, texel;
  for (size_t i = 0; i < kOrder.size(); ++i) {
    read(view, {low[0] + kOrder[i][0], low[1] + kOrder[i][1], 0}, texel);
    gathered[i] = texel[component];
  }
  return gathered;
}

}  // namespace tessera::softgpu::exec
