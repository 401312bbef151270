#include "virtualization/gate/meter.h"

namespace tessera::vgpu {
namespace {

class TableMeter : public Meter {
 public:
  TableMeter(const cuda::DeviceSchedulingTable& table, CUdevice ordinal) : table_(table), ordinal_(ordinal) {}

  cuda::DeviceWork work() override {
    cuda::DeviceWork work{};
    // A driver that is shutting down has no work.
    if (table_.work(ordinal_, &work) != CUDA_SUCCESS) return last_;
    return last_ = work;
  }
  cuda::DeviceRunTimes run_times() override {
    cuda::DeviceRunTimes times{};
    if (table_.run_times(ordinal_, &times) != CUDA_SUCCESS) return last_times_;
    return last_times_ = times;
  }
  bool suspend(unsigned int timeout_ms) override {
    return table_.suspend(ordinal_, timeout_ms) == CUDA_SUCCESS;
  }
  void watch(void (*drained)(void*), void* argument) override {
    (void)table_.watch(ordinal_, drained, argument);
  }
  void confine(const IndexSet& sms) override {
    (void)table_.confine(ordinal_, sms.words().data(), sms.words().size());
  }
  void resume() override { (void)table_.resume(ordinal_); }

 private:
  const cuda::DeviceSchedulingTable& table_;
  const CUdevice ordinal_;
  cuda::DeviceWork last_{};
  cuda::DeviceRunTimes last_times_{};
};

}  // namespace

std::unique_ptr<Meter> make_table_meter(const cuda::DriverTable& driver, CUdevice ordinal) {
  const void* found = nullptr;
  if (driver.cuGetExportTable == nullptr ||
      driver.cuGetExportTable(&found, &cuda::kDeviceSchedulingTable) != CUDA_SUCCESS || found == nullptr) {
    return nullptr;
  }
  const auto& table = *static_cast<const cuda::DeviceSchedulingTable*>(found);
  if (table.bytes < sizeof table) return nullptr;
  return std::make_unique<TableMeter>(table, ordinal);
}

}  // namespace tessera::vgpu
