// A world in which most messages make sense: one thing of each kind. Random messages seldom make all that a
// launch needs, or a node of a graph.
#include "remote/wire/handle_id.h"
#include "tests/fuzz/remote/composer.h"

namespace tessera::remote::fuzz {
namespace {

// In an order in which each finds what it comes from.
constexpr uint16_t kWorld[] = {
    static_cast<uint16_t>(Op::cuCtxCreate_v2),
    static_cast<uint16_t>(Message::kUseContext),
    static_cast<uint16_t>(Op::cuModuleLoadDataEx),
    static_cast<uint16_t>(Op::cuModuleGetFunction),
    static_cast<uint16_t>(Op::cuModuleGetTexRef),
    static_cast<uint16_t>(Op::cuModuleGetSurfRef),
    static_cast<uint16_t>(Op::cuLibraryLoadData),
    static_cast<uint16_t>(Op::cuLibraryGetKernel),
    static_cast<uint16_t>(Op::cuLinkCreate_v2),
    static_cast<uint16_t>(Op::cuStreamCreateWithPriority),
    static_cast<uint16_t>(Op::cuEventCreate),
    static_cast<uint16_t>(Op::cuArrayCreate_v2),
    static_cast<uint16_t>(Op::cuMipmappedArrayCreate),
    static_cast<uint16_t>(Op::cuMemPoolCreate),
    static_cast<uint16_t>(Op::cuMemCreate),
    static_cast<uint16_t>(Op::cuMemAlloc_v2),
    static_cast<uint16_t>(Message::kHostAdd),
    static_cast<uint16_t>(Op::cuGraphCreate),
    static_cast<uint16_t>(Op::cuGraphCreate),
    static_cast<uint16_t>(Op::cuGraphAddKernelNode_v2),
    static_cast<uint16_t>(Op::cuGraphInstantiateWithFlags),
    static_cast<uint16_t>(Op::cuUserObjectCreate),
};

}  // namespace

bool Composer::has_world_to_make() const { return makes_world_ && world_at_ < std::size(kWorld); }

void Composer::make_next_of_world(std::vector<std::byte>& stream) {
  const std::vector<uint8_t> sound(kMostDecisions, kSound);
  Decisions decisions(sound);
  in_ = &decisions;
  const uint16_t op = kWorld[world_at_++];
  compose(op);
  in_ = &decisions_;
  finish(stream, op, kAnswerWanted);
}

}  // namespace tessera::remote::fuzz
