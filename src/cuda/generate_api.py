#!/usr/bin/env python3
"""Generates code from an API table (driver_api.tbl, nvml_api.tbl; their heads describe the format).

usage: generate_api.py KIND TABLE OUTPUT

KIND is one of
  header    C declarations of every exported symbol
  table     struct with one function pointer per symbol, and the list of entries behind look-ups (header)
  entries   the definition of that list (source)
  defaults  a weak definition of every symbol for a driver: "not supported" until a strong one replaces it; and the
            per-thread-default-stream forms, which run the plain form with stream 0 redirected
  own_table the function table filled with the addresses of the library's own exported functions
  forward   a definition of every symbol for a guest: calls through its function table; and a table of the definitions
  null      a weak definition of every symbol that returns success at once: a driver that costs nothing, to measure
            what stands above it
  exports   a linker version script
"""
import pathlib
import re
import sys

APIS = {
    "driver_api": dict(result="CUresult", unsupported="CUDA_ERROR_NOT_SUPPORTED", struct="DriverTable",
                       list="kDriverEntries", header="cuda/driver_api.h", table="cuda/driver_table.h",
                       abi="cuda/abi.h", defaults="softgpu/driver/defaults.h", folder="cuda/abi",
                       types=["copy", "device", "graph", "handles", "interop", "launch", "memory", "process",
                              "result", "stream", "texture"]),
    "nvml_api": dict(result="nvmlReturn_t", unsupported="NVML_ERROR_NOT_SUPPORTED", struct="NvmlTable",
                     list="kNvmlEntries", header="cuda/nvml_api.h", table="cuda/nvml_table.h",
                     abi="cuda/nvml.h", defaults="softgpu/nvml/defaults.h", folder="cuda/nvml",
                     types=["constants", "types"]),
}
LINE = re.compile(r"^(\w+)\s+(\d+)\s+(-|ptds|ptsz)\s+\(([^()]*)\)(?:\s+->\s+(\S.*))?$")
DIRECTION = re.compile(r"^(?:(?:in|out|inout)(?:\[\w+\])?|opaque)\s+")


class Function:
    def __init__(self, name, since, form, parameters, result):
        self.name, self.since, self.form, self.parameters = name, int(since), form, parameters
        self.result = result
        self.public = re.sub(r"_v\d+$", "", name)

    def declaration(self, symbol):
        return "%s(%s)" % (symbol, ", ".join("%s %s" % p for p in self.parameters) or "void")

    def types(self):
        return ", ".join(t for t, _ in self.parameters)

    def names(self):
        return ", ".join(n for _, n in self.parameters)

    def symbols(self):
        """(symbol, since, per-thread form?) of each exported spelling."""
        yield self.name, self.since, False
        if self.form != "-":
            yield "%s_%s" % (self.name, self.form), max(self.since, 7000), True


def parse(api, path):
    functions = []
    for number, line in enumerate(open(path), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        match = LINE.match(line)
        if not match:
            sys.exit("%s:%d: not an entry: %s" % (path, number, line))
        parameters = []
        for text in filter(None, (p.strip() for p in match[4].split(","))):
            kind, name = DIRECTION.sub("", text).rsplit(" ", 1)
            parameters.append((kind, name))
        functions.append(Function(match[1], match[2], match[3], parameters, match[5] or api["result"]))
    symbols = [s for f in functions for s, _, _ in f.symbols()]
    for symbol in {s for s in symbols if symbols.count(s) > 1}:
        sys.exit("%s: %s is listed twice" % (path, symbol))
    return functions


def header(api, functions):
    yield "#pragma once\n"
    for topic in api["types"]:
        yield '#include "%s/%s.h"' % (api["folder"], topic)
    yield 'extern "C" {'
    for f in functions:
        for symbol, _, _ in f.symbols():
            yield '__attribute__((visibility("default"))) %s %s;' % (f.result, f.declaration(symbol))
    yield '}  // extern "C"'


def table(api, functions):
    yield '#pragma once\n\n#include "%s"\n#include "cuda/api_entry.h"\n' % api["abi"]
    yield "namespace tessera::cuda {\n"
    yield "// One pointer per exported symbol, in the order of %s; null where a driver lacks the function." % api["list"]
    yield "struct %s {" % api["struct"]
    count = 0
    for f in functions:
        for symbol, _, _ in f.symbols():
            yield "  %s (*%s)(%s) = nullptr;" % (f.result, symbol, f.types())
            count += 1
    yield "};\n"
    yield "inline constexpr size_t %sCount = %d;" % (api["list"], count)
    yield "extern const ApiEntry %s[%sCount];" % (api["list"], api["list"])
    yield "static_assert(sizeof(%s) == %sCount * sizeof(void*));" % (api["struct"], api["list"])
    yield "\n}  // namespace tessera::cuda"


def entries(api, functions):
    yield '#include "%s"\n\nnamespace tessera::cuda {\n' % api["table"]
    yield "const ApiEntry %s[%sCount] = {" % (api["list"], api["list"])
    for f in functions:
        for symbol, since, per_thread in f.symbols():
            yield '    {"%s", "%s", %d, %s},' % (f.public, symbol, since, "true" if per_thread else "false")
    yield "};\n\n}  // namespace tessera::cuda"


def defaults(api, functions):
    yield '#include "%s"\n#include "%s"\n' % (api["abi"], api["defaults"])
    yield "// Parameters of functions that are not there are not looked at.\n"
    yield '#pragma GCC diagnostic ignored "-Wunused-parameter"\n\nextern "C" {'
    for f in functions:
        if f.result != api["result"]:
            continue  # cannot say "not supported": a strong definition has to be there
        yield "__attribute__((weak)) %s %s {" % (f.result, f.declaration(f.name))
        yield '  return ::tessera::softgpu::not_supported<%s>("%s");\n}' % (f.result, f.name)
        if f.form != "-":
            yield "%s %s {" % (f.result, f.declaration("%s_%s" % (f.name, f.form)))
            yield "  ::tessera::softgpu::PerThreadDefaultStream scope;"
            yield "  return %s(%s);\n}" % (f.name, f.names())
    yield '}  // extern "C"'


def own_table(api, functions):
    yield '#include "%s"\n#include "%s"\n' % (api["abi"], api["table"])
    yield "namespace tessera::softgpu {\n"
    yield "extern const cuda::%s kOwn%s;" % (api["struct"], api["struct"])
    yield "constinit const cuda::%s kOwn%s = {" % (api["struct"], api["struct"])
    for f in functions:
        for symbol, _, _ in f.symbols():
            yield "    .%s = &::%s," % (symbol, symbol)
    yield "};\n\n}  // namespace tessera::softgpu"


def forward(api, functions):
    yield '#include "%s"\n#include "%s"\n#include "%s"\n#include "guest/upper.h"\n' % (api["abi"], api["header"],
                                                                                     api["table"])
    yield 'extern "C" {'
    for f in functions:
        for symbol, _, _ in f.symbols():
            yield "%s %s {" % (f.result, f.declaration(symbol))
            yield "  auto* entry = ::tessera::guest::upper<::tessera::cuda::%s>().%s;" % (api["struct"], symbol)
            yield "  if (entry == nullptr) return ::tessera::guest::missing<%s>(\"%s\");" % (f.result, symbol)
            yield "  return entry(%s);\n}" % f.names()
    yield '}  // extern "C"\n'
    yield "namespace tessera::guest {\n"
    yield "template <>\nconst cuda::%s& exported<cuda::%s>() {" % (api["struct"], api["struct"])
    yield "  static constinit const cuda::%s table = {" % api["struct"]
    for f in functions:
        for symbol, _, _ in f.symbols():
            yield "      .%s = &::%s," % (symbol, symbol)
    yield "  };\n  return table;\n}\n\n}  // namespace tessera::guest"


def null(api, functions):
    yield '#include "%s"\n#include "%s"\n' % (api["abi"], api["header"])
    yield '#pragma GCC diagnostic ignored "-Wunused-parameter"\n\nextern "C" {'
    for f in functions:
        for symbol, _, _ in f.symbols():
            yield "__attribute__((weak)) %s %s {\n  return {};\n}" % (f.result, f.declaration(symbol))
    yield '}  // extern "C"'


def exports(api, functions):
    yield "{\n  global:"
    for f in functions:
        for symbol, _, _ in f.symbols():
            yield "    %s;" % symbol
    yield "  local: *;\n};"


def write_if_changed(path, text):
    """What depends on a file that stays the same is not built again."""
    if pathlib.Path(path).is_file() and pathlib.Path(path).read_text() == text:
        return
    pathlib.Path(path).write_text(text)


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    kind, path, output = sys.argv[1:]
    makers = dict(header=header, table=table, entries=entries, defaults=defaults, own_table=own_table,
                  forward=forward, null=null, exports=exports)
    name = path.rsplit("/", 1)[-1].removesuffix(".tbl")
    if kind not in makers or name not in APIS:
        sys.exit(__doc__)
    comment = "#" if kind == "exports" else "//"
    lines = ["%s Generated by generate_api.py from %s.tbl." % (comment, name)]
    lines += makers[kind](APIS[name], parse(APIS[name], path))
    write_if_changed(output, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
