// Exchange between lanes: shfl, vote, match, elect.
#include "softgpu/exec/function_decoder.h"
#include "softgpu/exec/handler_table.h"

namespace tessera::softgpu::exec {

// The mask of lanes that take part; the forms without .sync mean whoever is there.
Result<ValueId> FunctionDecoder::lane_members(const Instruction& in, size_t index) {
  if (!has_modifier(in, "sync")) return builder_.constant(Width::k32, kAllLanes);
  if (index >= in.operands.size()) return malformed(in, "expected a mask of lanes");
  return source(in, in.operands[index], 'w');
}

Status FunctionDecoder::shuffle(const Instruction& in) {
  const bool paired = in.paired_destinations != 0;
  const bool sync = has_modifier(in, "sync");
  const size_t first = paired ? 2 : 1;
  if (type_of(in) != "b32" || in.operands.size() != first + (sync ? 4u : 3u)) return unsupported(in);
  const std::string& mode = in.modifiers[sync ? 1 : 0];
  const Entry* entry = find_handler("shfl." + mode);
  if (entry == nullptr || in.modifiers.size() != (sync ? 3u : 2u)) return unsupported(in);
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'w'));
  ValueId p = builder_.new_register(Width::kPredicate);
  if (paired) {
    TESSERA_ASSIGN_OR_RETURN(p, destination(in, in.operands[1], 'p'));
  }
  TESSERA_ASSIGN_OR_RETURN(const ValueId a, source(in, in.operands[first], 'w'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId b, source(in, in.operands[first + 1], 'w'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId c, source(in, in.operands[first + 2], 'w'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId members, lane_members(in, first + 3));
  builder_.emit(*entry, {d, p, a, b, c, members}).op.aux = (paired ? 1u : 0u) | (sync ? 2u : 0u);
  return {};
}

Status FunctionDecoder::vote(const Instruction& in) {
  const bool sync = has_modifier(in, "sync");
  if (in.modifiers.size() != (sync ? 3u : 2u) || in.operands.size() != (sync ? 3u : 2u))
    return unsupported(in);
  // ".sync" and the mode come in either order.
  const std::string& mode = in.modifiers[in.modifiers[0] == "sync" ? 1 : 0];
  const Entry* entry = find_handler("vote." + mode);
  if (entry == nullptr) return unsupported(in);
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], mode == "ballot" ? 'w' : 'p'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId a, source(in, in.operands[1], 'p'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId members, lane_members(in, 2));
  builder_.emit(*entry, {d, a, members}).op.aux = sync ? 2 : 0;
  return {};
}

Status FunctionDecoder::match(const Instruction& in) {
  const bool paired = in.paired_destinations != 0;
  const size_t first = paired ? 2 : 1;
  if (in.modifiers.size() != 3 || in.modifiers[1] != "sync" || in.operands.size() != first + 2)
    return unsupported(in);
  const Entry* entry = find_handler("match." + in.modifiers[0] + "." + in.modifiers[2]);
  if (entry == nullptr) return unsupported(in);
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'w'));
  ValueId p = builder_.new_register(Width::kPredicate);
  if (paired) {
    TESSERA_ASSIGN_OR_RETURN(p, destination(in, in.operands[1], 'p'));
  }
  TESSERA_ASSIGN_OR_RETURN(const ValueId a,
                           source(in, in.operands[first], in.modifiers[2] == "b64" ? 'q' : 'w'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId members, lane_members(in, first + 1));
  builder_.emit(*entry, {d, p, a, members}).op.aux = paired ? 1 : 0;
  return {};
}

Status FunctionDecoder::elect(const Instruction& in) {
  if (in.paired_destinations == 0 || in.operands.size() != 3 || in.modifiers.size() != 1)
    return unsupported(in);
  TESSERA_ASSIGN_OR_RETURN(const ValueId d, destination(in, in.operands[0], 'w'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId p, destination(in, in.operands[1], 'p'));
  TESSERA_ASSIGN_OR_RETURN(const ValueId members, lane_members(in, 2));
  emit("elect.sync", {d, p, members});
  return {};
}

}  // namespace tessera::softgpu::exec
