#include "softgpu/driver/device_attributes.h"

#include <gtest/gtest.h>

namespace tessera::softgpu {
namespace {

DeviceFacts facts(const char* model) { return {find_model(model), 7, pci_address(3)}; }

TEST(DeviceAttributes, AnswersAllThatCudaDefines) {
  for (uint32_t i = 1; i < CU_DEVICE_ATTRIBUTE_MAX; ++i) {
    EXPECT_TRUE(device_attribute(static_cast<CUdevice_attribute>(i), facts("")).has_value()) << i;
  }
}

TEST(DeviceAttributes, RefusesAllElse) {
  for (uint32_t i : {0u, static_cast<uint32_t>(CU_DEVICE_ATTRIBUTE_MAX), 100000u, 0xffffffffu}) {
    EXPECT_FALSE(device_attribute(static_cast<CUdevice_attribute>(i), facts("")).has_value()) << i;
  }
}

TEST(DeviceAttributes, TakesTheFiguresFromTheModelAndTheMachine) {
  EXPECT_EQ(device_attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, facts("T4")), 7);
  EXPECT_EQ(device_attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, facts("T4")), 5);
  EXPECT_EQ(device_attribute(CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR, facts("T4")), 1024);
  EXPECT_EQ(device_attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, facts("T4")), 7);
  EXPECT_EQ(device_attribute(CU_DEVICE_ATTRIBUTE_PCI_BUS_ID, facts("T4")), 4);
  EXPECT_EQ(device_attribute(CU_DEVICE_ATTRIBUTE_WARP_SIZE, facts("")), 32);
  EXPECT_EQ(device_attribute(CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, facts("A100-40")), 0);
  EXPECT_EQ(device_attribute(CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH, facts("H100-80")), 1);
  EXPECT_EQ(device_attribute(CU_DEVICE_ATTRIBUTE_ECC_ENABLED, facts("T4")), 1);
  EXPECT_EQ(device_attribute(CU_DEVICE_ATTRIBUTE_ECC_ENABLED, facts("RTX4090")), 0);
}

// A model named after a card presents its shape, never a feature that is not built.
TEST(DeviceAttributes, PromisesNothingThatIsNotBuilt) {
  for (CUdevice_attribute attribute :
       {CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_HOST_NUMA_VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_PAGEABLE_MEMORY_ACCESS, CU_DEVICE_ATTRIBUTE_SPARSE_CUDA_ARRAY_SUPPORTED,
        CU_DEVICE_ATTRIBUTE_HANDLE_TYPE_FABRIC_SUPPORTED}) {
    EXPECT_EQ(device_attribute(attribute, facts("H100-80")), 0) << attribute;
  }
}

}  // namespace
}  // namespace tessera::softgpu
