#!/usr/bin/env python3
"""Generates, for the fuzz targets of the worker, a driver that touches all that calls are given, and how each call's message looks.

usage: generate_driver.py KIND SOURCE_FOLDER OUTPUT

KIND is one of
  driver   functions that read every input and write every output, as far as the tables say that they go (source)
  shapes   the fields of the messages of generated calls, in their order (source)
"""
import pathlib
import re
import sys

sys.dont_write_bytecode = True
source = pathlib.Path(sys.argv[2])
sys.path[:0] = [str(source / "src/remote"), str(source / "src/cuda")]
import generate_api  # noqa: E402
import generate_calls  # noqa: E402

# Written by hand in touching_driver.cc: what the worker makes of their answers is more than bytes.
BY_HAND = {"cuGetExportTable", "cuFuncGetParamInfo", "cuKernelGetParamInfo", "cuMemAllocManaged", "cuMemFree_v2", "cuModuleGetGlobal_v2",
           "cuLibraryGetManaged", "cuPointerGetAttribute", "cuPointerGetAttributes", "cuGraphKernelNodeGetParams_v2",
           "cuGraphMemcpyNodeGetParams", "cuGraphBatchMemOpNodeGetParams", "cuGraphMemAllocNodeGetParams", "cuGraphHostNodeGetParams",
           "cuGraphAddNode", "cuStreamGetCaptureInfo_v3", "cuLinkCreate_v2", "cuLinkAddData_v2", "cuLinkComplete", "cuLaunchKernel",
           "cuLaunchKernelEx", "cuLaunchCooperativeKernel", "cuLaunchHostFunc", "cuStreamAddCallback", "cuUserObjectCreate",
           "cuGraphAddHostNode", "cuMemcpyHtoDAsync_v2", "cuMemcpyDtoHAsync_v2", "cuMemcpyDtoH_v2", "cuMemcpyHtoAAsync_v2",
           "cuMemcpyAtoHAsync_v2", "cuMemcpyHtoA_v2", "cuMemcpyAtoH_v2", "cuMemcpy3D_v2", "cuMemcpy3DAsync_v2", "cuModuleLoadDataEx",
           "cuLibraryLoadData", "cuMemHostGetDevicePointer_v2", "cuMemHostRegister_v2", "cuDeviceGetCount", "cuFuncGetName",
           "cuKernelGetName", "cuOccupancyMaxActiveClusters", "cuOccupancyMaxPotentialClusterSize", "cuEventQuery", "cuStreamQuery",
           "cuThreadExchangeStreamCaptureMode", "cuMemGetAllocationGranularity", "cuMemAddressReserve"}


def driver(calls):
    yield '#include "cuda/driver_table.h"\n#include "remote/wire/extents.h"\n#include "tests/fuzz/remote/touching_driver.h"\n'
    yield "namespace tessera::remote::fuzz {\nnamespace {\n"
    touched = []
    for c in calls:
        if c.name in BY_HAND or c.result != "CUresult" or not c.travels():
            continue
        touched.append(c)
        unused = {n for (_, n), p in zip(c.function.parameters, c.parameters)}
        yield "CUresult touch_%s(%s) {" % (c.name, ", ".join("[[maybe_unused]] %s %s" % p for p in c.function.parameters))
        for (_, name), p in zip(c.function.parameters, c.parameters):
            if p.kind == "value":
                continue
            if p.extent == "cstr":
                yield "  read_text(%s);" % name
                continue
            count = p.count or "1"
            cast = "reinterpret_cast<const %s*>(%s)" % (p.element, name)
            if p.kind in ("in", "inout"):
                yield "  read(%s, static_cast<uint64_t>(%s));" % (cast, count)
        for (_, name), p in zip(c.function.parameters, c.parameters):
            if p.kind in ("out", "inout"):
                how = "give_handles" if p.element in generate_calls.HANDLES else "give"
                yield "  const auto %s_number = static_cast<uint64_t>(%s);" % (name, p.count or "1")
        for (_, name), p in zip(c.function.parameters, c.parameters):
            if p.kind in ("out", "inout"):
                how = "give_handles" if p.element in generate_calls.HANDLES else "give"
                yield "  %s(reinterpret_cast<%s*>(%s), %s_number);" % (how, p.element, name, name)
        yield "  return next_result();\n}"
    yield "\n}  // namespace\n\nvoid install_touching(cuda::DriverTable& table) {"
    for c in touched:
        for symbol, _, _ in c.function.symbols():
            yield "  table.%s = touch_%s;" % (symbol, c.name)
    yield "}\n\n}  // namespace tessera::remote::fuzz"


def extent(p, values):
    """(parameter, less) by which an array's number is said, or (-1, the number itself)."""
    text = p.extent
    if text is None:
        return -1, 1
    if text.isdigit():
        return -1, int(text)
    match = re.match(r"^less\((\w+),(\d+)\)$", text)
    name, less = (match[1], int(match[2])) if match else (text, 0)
    if name in values:
        return values[name], less
    return -1, 8  # a size that an attribute decides: 8 more often than not


def shapes(calls):
    yield '#include "tests/fuzz/remote/shapes.h"\n\nnamespace tessera::remote::fuzz {\n'
    yield "const std::vector<Field> kShapes[kCalls] = {"
    for c in calls:
        if not c.sent():
            yield "    {},"
            continue
        values = {p.name: i for i, p in enumerate(c.parameters) if p.kind == "value"}
        fields = []
        for p in c.parameters:
            handle = "HandleKind::k" + p.type if p.kind == "value" and p.type in generate_calls.HANDLES else "HandleKind::kNone"
            if p.kind == "value":
                fields.append("{Field::kValue, sizeof(%s), %s, -1, 0}" % (p.type, handle))
            elif p.extent == "cstr":
                fields.append("{Field::kText, 1, HandleKind::kNone, -1, 0}")
            elif p.kind in ("in", "inout"):
                element = "HandleKind::k" + p.element if p.element in generate_calls.HANDLES else "HandleKind::kNone"
                by, less = extent(p, values)
                kind = "kArray" if p.extent is not None and p.kind == "in" else "kStructure"
                fields.append("{Field::%s, sizeof(%s), %s, %d, %d}" % (kind, p.element, element, by, less))
            else:
                fields.append("{Field::kWanted, 8, HandleKind::kNone, -1, 0}")
        yield "    {%s},  // %s" % (", ".join(fields), c.name)
    yield "};\n\n}  // namespace tessera::remote::fuzz"


def main():
    kind, _, output = sys.argv[1:]
    calls = generate_calls.read(source / "src/cuda/driver_api.tbl", source / "src/remote/calls.tbl")
    lines = ["// Generated by generate_driver.py from driver_api.tbl and calls.tbl."]
    lines += {"driver": driver, "shapes": shapes}[kind](calls)
    generate_api.write_if_changed(output, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
