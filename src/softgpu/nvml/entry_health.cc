// Error correction: counters, retired pages, remapped rows; and time spent slowed down. All of it is what was
// injected by the device's control file (device/health.h) and what became of it: no error happens by itself.
#include <algorithm>
#include <span>

#include "common/clock.h"
#include "softgpu/nvml/entry.h"

namespace tessera::softgpu {
namespace {

// Runs `body(const ObservedDevice&, const Health&)` for a device that is there and corrects errors.
template <typename Body>
nvmlReturn_t with_ecc(nvmlDevice_t handle, Body&& body) {
  return on_device_in_use(handle, [&](const ObservedDevice& device, const DeviceUse& use) -> nvmlReturn_t {
    return device.model->ecc ? body(device, use.health) : NVML_ERROR_NOT_SUPPORTED;
  });
}

const ErrorCounts& counts_of(const Health& health, nvmlEccCounterType_t counter) {
  return counter == NVML_VOLATILE_ECC ? health.since_clear : health.ever;
}

bool known(nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter) {
  return type <= NVML_MEMORY_ERROR_TYPE_UNCORRECTED && counter <= NVML_AGGREGATE_ECC;
}

unsigned long long count_of(const Health& health, nvmlMemoryErrorType_t type, nvmlEccCounterType_t counter) {
  const ErrorCounts& counts = counts_of(health, counter);
  return type == NVML_MEMORY_ERROR_TYPE_CORRECTED ? counts.corrected : counts.uncorrected;
}

// Pages are retired for double-bit errors alone.
nvmlReturn_t give_retired(nvmlDevice_t handle, unsigned int cause, unsigned int* count,
                          unsigned long long* addresses, unsigned long long* timestamps) {
  return with_ecc(handle, [&](const ObservedDevice& device, const Health& health) -> nvmlReturn_t {
    if (device.model->remaps_rows) return NVML_ERROR_NOT_SUPPORTED;
    if (count == nullptr || cause > NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR)
      return NVML_ERROR_INVALID_ARGUMENT;
    const bool has = cause == NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR;
    const std::span pages(health.retired, has ? std::min(health.retired_count, kMaxRetiredPages) : 0);
    const unsigned int room = *count;
    *count = static_cast<unsigned int>(pages.size());
    if (room < *count) return NVML_ERROR_INSUFFICIENT_SIZE;
    if (!pages.empty() && addresses == nullptr) return NVML_ERROR_INVALID_ARGUMENT;
    for (size_t i = 0; i < pages.size(); ++i) {
      addresses[i] = pages[i].address;
      if (timestamps != nullptr) timestamps[i] = pages[i].wall_ns / 1000;
    }
    return NVML_SUCCESS;
  });
}

nvmlReturn_t give_ecc_mode(nvmlDevice_t handle, nvmlEnableState_t* mode) {
  return on_device(handle, [&](const ObservedDevice& device) {
    return give(mode, device.model->ecc ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED);
  });
}

}  // namespace
}  // namespace tessera::softgpu

using namespace tessera::softgpu;  // NOLINT(google-build-using-namespace): the definitions below are C
                                   // functions

extern "C" {

nvmlReturn_t nvmlDeviceGetDefaultEccMode(nvmlDevice_t device, nvmlEnableState_t* defaultMode) {
  return give_ecc_mode(device, defaultMode);
}
nvmlReturn_t nvmlDeviceGetEccMode(nvmlDevice_t device, nvmlEnableState_t* current,
                                  nvmlEnableState_t* pending) {
  const nvmlReturn_t result = give_ecc_mode(device, current);
  return result == NVML_SUCCESS ? give_ecc_mode(device, pending) : result;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                         nvmlEccCounterType_t counterType, unsigned long long* eccCounts) {
  return with_ecc(device, [&](const ObservedDevice&, const Health& health) -> nvmlReturn_t {
    if (!known(errorType, counterType)) return NVML_ERROR_INVALID_ARGUMENT;
    return give(eccCounts, count_of(health, errorType, counterType));
  });
}

nvmlReturn_t nvmlDeviceGetDetailedEccErrors(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                            nvmlEccCounterType_t counterType,
                                            nvmlEccErrorCounts_t* eccCounts) {
  return with_ecc(device, [&](const ObservedDevice&, const Health& health) -> nvmlReturn_t {
    if (!known(errorType, counterType)) return NVML_ERROR_INVALID_ARGUMENT;
    return give(eccCounts, {0, 0, count_of(health, errorType, counterType), 0});
  });
}

nvmlReturn_t nvmlDeviceGetMemoryErrorCounter(nvmlDevice_t device, nvmlMemoryErrorType_t errorType,
                                             nvmlEccCounterType_t counterType,
                                             nvmlMemoryLocation_t locationType, unsigned long long* count) {
  return with_ecc(device, [&](const ObservedDevice&, const Health& health) -> nvmlReturn_t {
    if (!known(errorType, counterType) || locationType >= NVML_MEMORY_LOCATION_COUNT)
      return NVML_ERROR_INVALID_ARGUMENT;
    return give(count,
                locationType == NVML_MEMORY_LOCATION_DRAM ? count_of(health, errorType, counterType) : 0);
  });
}

nvmlReturn_t nvmlDeviceClearEccErrorCounts(nvmlDevice_t device, nvmlEccCounterType_t counterType) {
  return with_ecc(device, [&](const ObservedDevice& found, const Health&) -> nvmlReturn_t {
    if (counterType > NVML_AGGREGATE_ECC) return NVML_ERROR_INVALID_ARGUMENT;
    return Observer::instance().clear_error_counts(found, counterType == NVML_AGGREGATE_ECC);
  });
}

nvmlReturn_t nvmlDeviceGetRetiredPages(nvmlDevice_t device, unsigned int cause, unsigned int* pageCount,
                                       unsigned long long* addresses) {
  return give_retired(device, cause, pageCount, addresses, nullptr);
}
nvmlReturn_t nvmlDeviceGetRetiredPages_v2(nvmlDevice_t device, unsigned int cause, unsigned int* pageCount,
                                          unsigned long long* addresses, unsigned long long* timestamps) {
  return give_retired(device, cause, pageCount, addresses, timestamps);
}
nvmlReturn_t nvmlDeviceGetRetiredPagesPendingStatus(nvmlDevice_t device, nvmlEnableState_t* isPending) {
  return with_ecc(device, [&](const ObservedDevice& found, const Health& health) -> nvmlReturn_t {
    if (found.model->remaps_rows) return NVML_ERROR_NOT_SUPPORTED;
    return give(isPending, health.remap_pending != 0 ? NVML_FEATURE_ENABLED : NVML_FEATURE_DISABLED);
  });
}

nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t device, unsigned int* corrRows, unsigned int* uncRows,
                                       unsigned int* isPending, unsigned int* failureOccurred) {
  return with_ecc(device, [&](const ObservedDevice& found, const Health& health) -> nvmlReturn_t {
    if (!found.model->remaps_rows) return NVML_ERROR_NOT_SUPPORTED;
    if (corrRows == nullptr || uncRows == nullptr || isPending == nullptr || failureOccurred == nullptr)
      return NVML_ERROR_INVALID_ARGUMENT;
    *corrRows = 0;
    *uncRows = health.remapped_rows;
    *isPending = health.remap_pending != 0 ? 1 : 0;
    *failureOccurred = 0;
    return NVML_SUCCESS;
  });
}

nvmlReturn_t nvmlDeviceGetViolationStatus(nvmlDevice_t device, nvmlPerfPolicyType_t perfPolicyType,
                                          nvmlViolationTime_t* violTime) {
  return on_device_in_use(device, [&](const ObservedDevice&, const DeviceUse& use) -> nvmlReturn_t {
    if (perfPolicyType > NVML_PERF_POLICY_THERMAL) return NVML_ERROR_NOT_SUPPORTED;
    const SlowReason reason =
        perfPolicyType == NVML_PERF_POLICY_POWER ? SlowReason::kPower : SlowReason::kThermal;
    return give(violTime,
                {tessera::wall_ns() / 1000, slowed_ns(use.health, reason, tessera::monotonic_ns())});
  });
}

}  // extern "C"
