#include "scheduling/order/order_policy.h"

#include <string>

#include "scheduling/order/earliest_deadline.h"
#include "scheduling/order/feedback.h"
#include "scheduling/order/weighted_fair.h"

namespace tessera::scheduling {
namespace {

template <typename Policy>
std::unique_ptr<OrderPolicy> make() {
  return std::make_unique<Policy>();
}

struct Named {
  const char* name;
  std::unique_ptr<OrderPolicy> (*make)();
};
constexpr Named kPolicies[] = {
    {"weighted-fair", &make<WeightedFair>},
    {"feedback", &make<Feedback>},
    {"earliest-deadline", &make<EarliestDeadline>},
};

}  // namespace

Result<std::unique_ptr<OrderPolicy>> make_order_policy(std::string_view name) {
  std::string known;
  for (const Named& policy : kPolicies) {
    if (name == policy.name) return policy.make();
    known += std::string(known.empty() ? "" : ", ") + policy.name;
  }
  return Status::error(Code::kInvalidArgument, "no scheduling order \"%s\"; there are: %s",
                       std::string(name).c_str(), known.c_str());
}

}  // namespace tessera::scheduling
