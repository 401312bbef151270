#include "softgpu/exec/testing/elementwise.h"

#include <limits>

namespace tessera::softgpu::exec {
namespace {

std::string load(const char* name, const std::string& type, const std::string& parameter) {
  const std::string bytes = type == "b16" ? "2" : type.ends_with("32") ? "4" : "8";
  return "  ld.param.u64 %rd1, [" + parameter + "];\n  mad.wide.u32 %rd2, %i, " + bytes +
         ", %rd1;\n  ld.global." + type + " %" + name + ", [%rd2];\n";
}

}  // namespace

std::string elementwise_kernel(const std::string& op, const char* d, const char* a, const char* b,
                               const char* c, bool guarded) {
  const std::string d_type = d;
  const std::string bytes = d_type == "b16" ? "2" : d_type.ends_with("32") ? "4" : "8";
  std::string text =
      ".version 8.0\n.target sm_80\n.address_size 64\n"
      ".visible .entry k(.param .u64 pd, .param .u64 pa, .param .u64 pb, .param .u64 pc, .param .u32 pn) {\n"
      "  .reg .b64 %rd<8>; .reg .b32 %i, %n, %x, %y; .reg .pred %p<8>; .reg .b32 %t<4>; .reg .b64 %q<4>; "
      ".reg .b16 %h<4>;\n";
  text += std::string("  .reg .") + d + " %d; .reg ." + a + " %a; .reg ." + b + " %b; .reg ." + c + " %c;\n";
  text +=
      "  mov.u32 %i, %tid.x; mov.u32 %x, %ctaid.x; mov.u32 %y, %ntid.x; mad.lo.s32 %i, %x, %y, %i;\n"
      "  ld.param.u32 %n, [pn]; setp.ge.u32 %p7, %i, %n; @%p7 exit;\n";
  text += load("a", a, "pa") + load("b", b, "pb") + load("c", c, "pc") + load("d", d, "pd");
  if (guarded) {
    text += "  and.b32 %x, %i, 1; setp.eq.u32 %p7, %x, 0; @%p7 bra SKIP;\n";
  }
  text += "  " + op + "\n";
  text += "  ld.param.u64 %rd1, [pd]; mad.wide.u32 %rd2, %i, " + bytes + ", %rd1; st.global." + d_type +
          " [%rd2], %d;\n";
  text += "SKIP:\n  ret;\n}\n";
  return text;
}

std::vector<float> float_values() {
  using L = std::numeric_limits<float>;
  std::vector<float> values = {0.0f,
                               1.0f,
                               1.5f,
                               2.0f,
                               0.1f,
                               3.1415927f,
                               1e-20f,
                               1e20f,
                               1e38f,
                               L::min(),
                               L::denorm_min(),
                               1e-40f,
                               L::max(),
                               L::infinity(),
                               0.5f,
                               0.49999997f,
                               2.5f,
                               123456.78f,
                               65504.0f,
                               65520.0f,
                               6.1e-5f,
                               5.9e-8f,
                               2147483520.0f,
                               4294967040.0f,
                               16777217.0f,
                               0.75f};
  const size_t count = values.size();
  for (size_t i = 0; i < count; ++i) values.push_back(-values[i]);
  values.push_back(L::quiet_NaN());
  return values;
}

std::vector<double> double_values() {
  using L = std::numeric_limits<double>;
  std::vector<double> values = {0.0,
                                1.0,
                                1.5,
                                2.5,
                                0.1,
                                3.141592653589793,
                                1e-200,
                                1e200,
                                L::min(),
                                L::denorm_min(),
                                1e-310,
                                L::max(),
                                L::infinity(),
                                0.5,
                                2147483647.0,
                                2147483648.0,
                                4294967295.5,
                                9.3e18,
                                1.9e19,
                                1e-40,
                                3.4e38,
                                3.5e38,
                                0.49999999999999994,
                                65519.99,
                                65520.0};
  const size_t count = values.size();
  for (size_t i = 0; i < count; ++i) values.push_back(-values[i]);
  values.push_back(L::quiet_NaN());
  return values;
}

}  // namespace tessera::softgpu::exec
