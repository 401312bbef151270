// Texture and surface references.
#include <algorithm>

#include "cuda/abi.h"
#include "softgpu/driver/array.h"
#include "softgpu/driver/entry.h"
#include "softgpu/driver/handle_registry.h"
#include "softgpu/driver/module.h"
#include "softgpu/driver/texture_limits.h"
#include "softgpu/driver/texture_reference.h"

using namespace tessera::softgpu;  // NOLINT: the C interface of that namespace

namespace {

using State = TextureReference::State;

constexpr unsigned kFlags = CU_TRSF_READ_AS_INTEGER | CU_TRSF_NORMALIZED_COORDINATES | CU_TRSF_SRGB |
                            CU_TRSF_DISABLE_TRILINEAR_OPTIMIZATION;

// Changes the state by `body(State&)`, which answers whether it can.
template <typename Body>
CUresult change(CUtexref handle, Body&& body) {
  return in_context([&](Context&) -> CUresult {
    const auto reference = live<TextureReference>().find(handle);
    return reference != nullptr ? reference->change(body) : CUDA_ERROR_INVALID_VALUE;
  });
}

// `body(const State&, out)` where all of the outputs are there.
template <typename Body, typename... Out>
CUresult tell(CUtexref handle, Body&& body, Out*... out) {
  return in_context([&](Context&) -> CUresult {
    const auto reference = live<TextureReference>().find(handle);
    if (reference == nullptr || ((out == nullptr) || ...)) return CUDA_ERROR_INVALID_VALUE;
    return body(reference->state(), *out...);
  });
}

// The member of the sampling that a call sets and another tells.
template <auto kMember, typename Value>
CUresult set(CUtexref handle, Value value) {
  return change(handle, [&](State& state) {
    state.sampling.*kMember = value;
    return CUDA_SUCCESS;
  });
}
template <auto kMember, typename Value>
CUresult get(Value* value, CUtexref handle) {
  return tell(
      handle,
      [](const State& state, Value& out) {
        out = static_cast<Value>(state.sampling.*kMember);
        return CUDA_SUCCESS;
      },
      value);
}

void take_format(State& state, const ArrayShape& shape) {
  state.format = shape.descriptor.Format;
  state.channels = shape.descriptor.NumChannels;
  state.offset = 0;
}

// Linear memory begins where textures may: what lies before the address is read too, and the program adds the
// offset to its coordinates.
CUresult bind_linear(State& state, size_t* offset, CUdeviceptr address, size_t bytes) {
  if (address == 0) {
    state.resource.reset();
    return CUDA_SUCCESS;
  }
  state.offset = address % kTextureAlignment;
  if (offset == nullptr && state.offset != 0) return CUDA_ERROR_INVALID_VALUE;
  const size_t texel = texel_bytes(state.format, state.channels);
  if (bytes + state.offset < texel || (bytes + state.offset) / texel > kMaxTexture1DLinear)
    return CUDA_ERROR_INVALID_VALUE;
  CUDA_RESOURCE_DESC resource{};
  resource.resType = CU_RESOURCE_TYPE_LINEAR;
  resource.res.linear.devPtr = address - state.offset;
  resource.res.linear.sizeInBytes = bytes + state.offset;
  state.resource = resource;
  if (offset != nullptr) *offset = state.offset;
  return CUDA_SUCCESS;
}

CUresult bind_pitched(State& state, const CUDA_ARRAY_DESCRIPTOR& d, CUdeviceptr address, size_t pitch) {
  if (texel_bytes(d.Format, d.NumChannels) == 0 || address == 0 || address % kTextureAlignment != 0 ||
      pitch % kTexturePitchAlignment != 0 || pitch > kMaxTexture2DLinearPitch)
    return CUDA_ERROR_INVALID_VALUE;
  CUDA_RESOURCE_DESC resource{};
  resource.resType = CU_RESOURCE_TYPE_PITCH2D;
  resource.res.pitch2D = {address, d.Format, d.NumChannels, d.Width, d.Height, pitch};
  state.resource = resource;
  state.format = d.Format;
  state.channels = d.NumChannels;
  state.offset = 0;
  return CUDA_SUCCESS;
}

template <typename Handle, typename Reference>
CUresult find_in_module(Handle* out, CUmodule handle, const char* name,
                        std::shared_ptr<Reference> (Module::*find)(const std::string&) const) {
  return in_context([&](Context&) -> CUresult {
    const auto module = live<Module>().find(handle);
    if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    if (out == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const auto reference = ((*module).*find)(name);
    if (reference == nullptr) return CUDA_ERROR_NOT_FOUND;
    *out = reinterpret_cast<Handle>(reference->handle());
    return CUDA_SUCCESS;
  });
}

}  // namespace

extern "C" {

CUresult cuModuleGetTexRef(CUtexref* pTexRef, CUmodule hmod, const char* name) {
  return find_in_module(pTexRef, hmod, name, &Module::texture_reference);
}
CUresult cuModuleGetSurfRef(CUsurfref* pSurfRef, CUmodule hmod, const char* name) {
  return find_in_module(pSurfRef, hmod, name, &Module::surface_reference);
}

CUresult cuTexRefCreate(CUtexref* pTexRef) {
  return in_context([&](Context& context) -> CUresult {
    if (pTexRef == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *pTexRef = reinterpret_cast<CUtexref>(make_texture_reference(context)->handle());
    return CUDA_SUCCESS;
  });
}
CUresult cuTexRefDestroy(CUtexref hTexRef) {
  return in_context([&](Context&) -> CUresult {
    return live<TextureReference>().remove(hTexRef) != nullptr ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuTexRefSetArray(CUtexref hTexRef, CUarray hArray, unsigned int Flags) {
  return change(hTexRef, [&](State& state) -> CUresult {
    std::shared_ptr<Array> array;
    if (Flags != CU_TRSA_OVERRIDE_FORMAT || array_of(hArray, &array) != CUDA_SUCCESS)
      return CUDA_ERROR_INVALID_VALUE;
    take_format(state, array->shape());
    state.resource = CUDA_RESOURCE_DESC{};
    state.resource->resType = CU_RESOURCE_TYPE_ARRAY;
    state.resource->res.array.hArray = hArray;
    return CUDA_SUCCESS;
  });
}
CUresult cuTexRefSetMipmappedArray(CUtexref hTexRef, CUmipmappedArray hMipmappedArray, unsigned int Flags) {
  return change(hTexRef, [&](State& state) -> CUresult {
    std::shared_ptr<MipmappedArray> array;
    if (Flags != CU_TRSA_OVERRIDE_FORMAT || mipmapped_array_of(hMipmappedArray, &array) != CUDA_SUCCESS)
      return CUDA_ERROR_INVALID_VALUE;
    take_format(state, array->shape());
    state.resource = CUDA_RESOURCE_DESC{};
    state.resource->resType = CU_RESOURCE_TYPE_MIPMAPPED_ARRAY;
    state.resource->res.mipmap.hMipmappedArray = hMipmappedArray;
    return CUDA_SUCCESS;
  });
}
CUresult cuTexRefSetAddress_v2(size_t* ByteOffset, CUtexref hTexRef, CUdeviceptr dptr, size_t bytes) {
  return change(hTexRef, [&](State& state) { return bind_linear(state, ByteOffset, dptr, bytes); });
}
CUresult cuTexRefSetAddress2D_v3(CUtexref hTexRef, const CUDA_ARRAY_DESCRIPTOR* desc, CUdeviceptr dptr,
                                 size_t Pitch) {
  return change(hTexRef, [&](State& state) -> CUresult {
    return desc != nullptr ? bind_pitched(state, *desc, dptr, Pitch) : CUDA_ERROR_INVALID_VALUE;
  });
}
CUresult cuTexRefSetAddress2D_v2(CUtexref hTexRef, const CUDA_ARRAY_DESCRIPTOR* desc, CUdeviceptr dptr,
                                 size_t Pitch) {
  return cuTexRefSetAddress2D_v3(hTexRef, desc, dptr, Pitch);
}

// Pitched memory has the format it was bound with.
CUresult cuTexRefSetFormat(CUtexref hTexRef, CUarray_format fmt, int NumPackedComponents) {
  return change(hTexRef, [&](State& state) -> CUresult {
    if (NumPackedComponents < 0 || texel_bytes(fmt, static_cast<unsigned>(NumPackedComponents)) == 0 ||
        state.is(CU_RESOURCE_TYPE_PITCH2D))
      return CUDA_ERROR_INVALID_VALUE;
    state.format = fmt;
    state.channels = static_cast<unsigned>(NumPackedComponents);
    return CUDA_SUCCESS;
  });
}
CUresult cuTexRefSetAddressMode(CUtexref hTexRef, int dim, CUaddress_mode am) {
  return change(hTexRef, [&](State& state) -> CUresult {
    if (dim < 0 || dim > 2 || am > CU_TR_ADDRESS_MODE_BORDER) return CUDA_ERROR_INVALID_VALUE;
    state.sampling.addressMode[dim] = am;
    return CUDA_SUCCESS;
  });
}
CUresult cuTexRefSetFilterMode(CUtexref hTexRef, CUfilter_mode fm) {
  if (fm > CU_TR_FILTER_MODE_LINEAR) return CUDA_ERROR_INVALID_VALUE;
  return set<&CUDA_TEXTURE_DESC::filterMode>(hTexRef, fm);
}
CUresult cuTexRefSetMipmapFilterMode(CUtexref hTexRef, CUfilter_mode fm) {
  if (fm > CU_TR_FILTER_MODE_LINEAR) return CUDA_ERROR_INVALID_VALUE;
  return set<&CUDA_TEXTURE_DESC::mipmapFilterMode>(hTexRef, fm);
}
CUresult cuTexRefSetMipmapLevelBias(CUtexref hTexRef, float bias) {
  return set<&CUDA_TEXTURE_DESC::mipmapLevelBias>(hTexRef, bias);
}
CUresult cuTexRefSetMipmapLevelClamp(CUtexref hTexRef, float minMipmapLevelClamp, float maxMipmapLevelClamp) {
  return change(hTexRef, [&](State& state) {
    state.sampling.minMipmapLevelClamp = minMipmapLevelClamp;
    state.sampling.maxMipmapLevelClamp = maxMipmapLevelClamp;
    return CUDA_SUCCESS;
  });
}
CUresult cuTexRefSetMaxAnisotropy(CUtexref hTexRef, unsigned int maxAniso) {
  return set<&CUDA_TEXTURE_DESC::maxAnisotropy>(hTexRef, maxAniso);
}
CUresult cuTexRefSetBorderColor(CUtexref hTexRef, float* pBorderColor) {
  return change(hTexRef, [&](State& state) -> CUresult {
    if (pBorderColor == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::copy_n(pBorderColor, 4, state.sampling.borderColor);
    return CUDA_SUCCESS;
  });
}
CUresult cuTexRefSetFlags(CUtexref hTexRef, unsigned int Flags) {
  if ((Flags & ~kFlags) != 0) return CUDA_ERROR_INVALID_VALUE;
  return set<&CUDA_TEXTURE_DESC::flags>(hTexRef, Flags);
}

CUresult cuTexRefGetAddress_v2(CUdeviceptr* pdptr, CUtexref hTexRef) {
  const auto body = [](const State& state, CUdeviceptr& address) -> CUresult {
    if (!state.is(CU_RESOURCE_TYPE_LINEAR) && !state.is(CU_RESOURCE_TYPE_PITCH2D))
      return CUDA_ERROR_INVALID_VALUE;
    const auto& resource = state.resource->res;
    address =
        state.is(CU_RESOURCE_TYPE_LINEAR) ? resource.linear.devPtr + state.offset : resource.pitch2D.devPtr;
    return CUDA_SUCCESS;
  };
  return tell(hTexRef, body, pdptr);
}
CUresult cuTexRefGetArray(CUarray* phArray, CUtexref hTexRef) {
  const auto body = [](const State& state, CUarray& array) -> CUresult {
    if (!state.is(CU_RESOURCE_TYPE_ARRAY)) return CUDA_ERROR_INVALID_VALUE;
    array = state.resource->res.array.hArray;
    return CUDA_SUCCESS;
  };
  return tell(hTexRef, body, phArray);
}
CUresult cuTexRefGetMipmappedArray(CUmipmappedArray* phMipmappedArray, CUtexref hTexRef) {
  const auto body = [](const State& state, CUmipmappedArray& array) -> CUresult {
    if (!state.is(CU_RESOURCE_TYPE_MIPMAPPED_ARRAY)) return CUDA_ERROR_INVALID_VALUE;
    array = state.resource->res.mipmap.hMipmappedArray;
    return CUDA_SUCCESS;
  };
  return tell(hTexRef, body, phMipmappedArray);
}
CUresult cuTexRefGetAddressMode(CUaddress_mode* pam, CUtexref hTexRef, int dim) {
  const auto body = [dim](const State& state, CUaddress_mode& mode) -> CUresult {
    if (dim < 0 || dim > 2) return CUDA_ERROR_INVALID_VALUE;
    mode = state.sampling.addressMode[dim];
    return CUDA_SUCCESS;
  };
  return tell(hTexRef, body, pam);
}
CUresult cuTexRefGetFormat(CUarray_format* pFormat, int* pNumChannels, CUtexref hTexRef) {
  const auto body = [](const State& state, CUarray_format& format, int& channels) {
    format = state.format;
    channels = static_cast<int>(state.channels);
    return CUDA_SUCCESS;
  };
  return tell(hTexRef, body, pFormat, pNumChannels);
}
CUresult cuTexRefGetFilterMode(CUfilter_mode* pfm, CUtexref hTexRef) {
  return get<&CUDA_TEXTURE_DESC::filterMode>(pfm, hTexRef);
}
CUresult cuTexRefGetMipmapFilterMode(CUfilter_mode* pfm, CUtexref hTexRef) {
  return get<&CUDA_TEXTURE_DESC::mipmapFilterMode>(pfm, hTexRef);
}
CUresult cuTexRefGetMipmapLevelBias(float* pbias, CUtexref hTexRef) {
  return get<&CUDA_TEXTURE_DESC::mipmapLevelBias>(pbias, hTexRef);
}
CUresult cuTexRefGetMipmapLevelClamp(float* pminMipmapLevelClamp, float* pmaxMipmapLevelClamp,
                                     CUtexref hTexRef) {
  const auto body = [](const State& state, float& least, float& greatest) {
    least = state.sampling.minMipmapLevelClamp;
    greatest = state.sampling.maxMipmapLevelClamp;
    return CUDA_SUCCESS;
  };
  return tell(hTexRef, body, pminMipmapLevelClamp, pmaxMipmapLevelClamp);
}
CUresult cuTexRefGetMaxAnisotropy(int* pmaxAniso, CUtexref hTexRef) {
  return get<&CUDA_TEXTURE_DESC::maxAnisotropy>(pmaxAniso, hTexRef);
}
CUresult cuTexRefGetBorderColor(float* pBorderColor, CUtexref hTexRef) {
  const auto body = [](const State& state, float& first) {
    std::copy_n(state.sampling.borderColor, 4, &first);
    return CUDA_SUCCESS;
  };
  return tell(hTexRef, body, pBorderColor);
}
CUresult cuTexRefGetFlags(unsigned int* pFlags, CUtexref hTexRef) {
  return get<&CUDA_TEXTURE_DESC::flags>(pFlags, hTexRef);
}

// A module's references are there for all of its functions: nothing is left to do.
CUresult cuParamSetTexRef(CUfunction hfunc, int texunit, CUtexref hTexRef) {
  return in_context([&](Context&) -> CUresult {
    std::shared_ptr<Function> function;
    SOFTGPU_RETURN_IF_ERROR(function_of(hfunc, &function));
    const bool known = live<TextureReference>().find(hTexRef) != nullptr;
    return known && texunit == CU_PARAM_TR_DEFAULT ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

CUresult cuSurfRefSetArray(CUsurfref hSurfRef, CUarray hArray, unsigned int Flags) {
  return in_context([&](Context&) -> CUresult {
    const auto reference = live<SurfaceReference>().find(hSurfRef);
    if (reference == nullptr || Flags != 0) return CUDA_ERROR_INVALID_VALUE;
    return reference->bind(hArray);
  });
}
CUresult cuSurfRefGetArray(CUarray* phArray, CUsurfref hSurfRef) {
  return in_context([&](Context&) -> CUresult {
    const auto reference = live<SurfaceReference>().find(hSurfRef);
    if (reference == nullptr || phArray == nullptr || reference->array() == nullptr)
      return CUDA_ERROR_INVALID_VALUE;
    *phArray = reference->array();
    return CUDA_SUCCESS;
  });
}

}  // extern "C"
