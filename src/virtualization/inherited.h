// What `tessera run` put into this program's environment.
#pragma once

#include <string>
#include <string_view>

namespace tessera::vgpu {

// The variable's value now; where the program has removed it (daemons clear their environment before they
// touch a GPU), the one it was started with. Empty where there is none, and in a program with raised
// privileges: what its user writes into its environment is not obeyed.
std::string inherited(const char* name);

// Set-user-ID, set-group-ID or with file capabilities: the kernel's AT_SECURE.
bool has_raised_privileges();

// The value of `name` in a block of "name=value" texts, each ended by a zero byte; empty where it is not in
// it.
std::string value_in(std::string_view block, std::string_view name);

}  // namespace tessera::vgpu
