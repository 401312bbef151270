// What a meter that puts events into the program's streams has to know of them: when they end, and when they
// are being captured.
#include "virtualization/vgpu/calls.h"

namespace tessera::vgpu {
namespace {

using cuda::DriverTable;

template <auto Entry>
CUresult destroy(CUstream stream) {
  active_vgpu->visit_meters([&](EventMeter& meter) { meter.stream_ends(stream); });
  return (lower().*Entry)(stream);
}

void capture_begins() {
  if (Tenant* tenant = active_vgpu->tenant()) tenant->captures.fetch_add(1);
  active_vgpu->visit_meters([](EventMeter& meter) { meter.capture_begins(); });
}

void capture_ended() {
  if (Tenant* tenant = active_vgpu->tenant()) tenant->captures.fetch_sub(1);
  active_vgpu->visit_meters([](EventMeter& meter) { meter.capture_ended(); });
}

// Begun before the driver is asked: from then on no event is put anywhere, nor a stream asked.
template <auto Entry>
struct Begin;
template <typename... Args, CUresult (*DriverTable::*Entry)(Args...)>
struct Begin<Entry> {
  static CUresult call(Args... args) {
    capture_begins();
    const CUresult result = (lower().*Entry)(args...);
    if (result != CUDA_SUCCESS) capture_ended();
    return result;
  }
};

// A capture that was broken is over, too, once its end was asked for; CUDA_ERROR_ILLEGAL_STATE says that
// there was none.
template <auto Entry>
CUresult end(CUstream stream, CUgraph* graph) {
  const CUresult result = (lower().*Entry)(stream, graph);
  const bool ended = result == CUDA_SUCCESS || result == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  if (ended) capture_ended();
  return result;
}

template <auto... Entries>
void note_captures(DriverTable& upper, const DriverTable& lower) {
  (replace<Entries, &Begin<Entries>::call>(upper, lower), ...);
}

}  // namespace

void install_stream_calls(DriverTable& upper, const DriverTable& lower) {
  using T = DriverTable;
  replace<&T::cuStreamDestroy_v2, &destroy<&T::cuStreamDestroy_v2>>(upper, lower);
  replace<&T::cuStreamDestroy, &destroy<&T::cuStreamDestroy>>(upper, lower);
  note_captures<&T::cuStreamBeginCapture, &T::cuStreamBeginCapture_ptsz, &T::cuStreamBeginCapture_v2,
                &T::cuStreamBeginCapture_v2_ptsz, &T::cuStreamBeginCaptureToGraph,
                &T::cuStreamBeginCaptureToGraph_ptsz>(upper, lower);
  replace<&T::cuStreamEndCapture, &end<&T::cuStreamEndCapture>>(upper, lower);
  replace<&T::cuStreamEndCapture_ptsz, &end<&T::cuStreamEndCapture_ptsz>>(upper, lower);
}

}  // namespace tessera::vgpu
