#!/usr/bin/env python3
"""Generates the messages of the remote protocol from the API table and from how each call travels.

usage: generate_calls.py KIND DRIVER_API_TABLE CALLS_TABLE OUTPUT

KIND is one of
  ops        the numbers of the messages, their names, and the digest that both sides compare (header)
  rpc        declarations of the client's functions, one for each call that can be sent as it is (header)
  client     their definitions, and the installation of those that need nothing else (source)
  worker     the server's side of them: decode, check, call, answer (source)
  document   the table in docs/wire.md
"""
import hashlib
import pathlib
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "cuda"))
import generate_api  # noqa: E402

HANDLES = ["CUcontext", "CUmodule", "CUfunction", "CUlibrary", "CUkernel", "CUarray", "CUmipmappedArray", "CUtexref",
           "CUsurfref", "CUevent", "CUstream", "CUgraph", "CUgraphNode", "CUgraphExec", "CUmemoryPool", "CUuserObject",
           "CUlinkState", "CUmemGenericAllocationHandle"]
# handles that end with another
PARENTS = {"CUgraphNode": "CUgraph", "CUfunction": "CUmodule", "CUkernel": "CUlibrary", "CUtexref": "CUmodule",
           "CUsurfref": "CUmodule", "CUmodule": "CUlibrary"}
CALLBACKS = {"CUhostFn", "CUstreamCallback", "CUoccupancyB2DSize", "CUasyncCallback", "CUlogsCallback"}
# Structures with addresses of the program's memory in them: calls with them are written by hand.
HOST_ADDRESSES = re.compile(r"CUDA_MEMCPY|CUDA_KERNEL_NODE|CUDA_HOST_NODE|CUDA_BATCH_MEM|CUDA_MEM_ALLOC_NODE|"
                            r"CUlaunchConfig|CUgraphNodeParams|CUDA_LAUNCH_PARAMS|CUctxCreateParams|CUexecAffinity|"
                            r"CUmemcpyAttributes|CUmemDecompress|CUarrayMapInfo|CUDA_EXT|CUlogs|CUcheckpoint")
CLASSES = {"generic", "custom", "queued", "refused"}


class Parameter:
    def __init__(self, text):
        match = re.match(r"^(?:(inout|in|out|opaque)(?:\[(\w+)\])?\s+)?(.+?)\s*(\w+)$", text)
        self.kind, self.extent, self.type, self.name = match.groups()
        self.kind = self.kind or "value"

    def override(self, text):
        match = re.match(r"^(value|inout|in|out)(?:\[(.+)\])?$", text)
        if not match:
            sys.exit("calls.tbl: %s=%s is no kind" % (self.name, text))
        self.kind, self.extent = match.groups()

    @property
    def element(self):
        """What a pointer points to, as values are kept of it."""
        plain = re.sub(r"^const ", "", self.type)
        plain = plain[:-1].strip()
        return "std::byte" if plain in ("void", "const void") else plain

    @property
    def count(self):
        if self.extent is None:
            return None
        return "count_of(%s)" % self.extent if re.match(r"^\w+$", self.extent) and not self.extent.isdigit() else self.extent

    def travels(self):
        if self.kind == "opaque" or self.type in CALLBACKS:
            return False
        if self.kind == "value":
            return True
        if self.extent in ("cstr",):
            return True
        if self.extent == "image" or HOST_ADDRESSES.search(self.type):
            return False
        inner = self.element
        return not inner.endswith("*") and (self.extent is not None or inner != "std::byte")


class Call:
    def __init__(self, number, function, texts):
        self.number, self.name, self.form, self.result = number, function.name, function.form, function.result
        self.function = function
        self.parameters = [Parameter(t) for t in texts]
        self.kind, self.destroys, self.releases, self.knows = "generic", None, None, None
        self.waits = self.tells = self.is_local = self.served = False

    def annotate(self, words):
        for word in words:
            if word in CLASSES:
                self.kind = word
            elif word in ("waits", "tells", "served"):
                setattr(self, word, True)
            elif word == "local":
                self.kind, self.is_local = "custom", True
            elif word.startswith("destroys="):
                self.destroys = word.split("=", 1)[1]
            elif word.startswith("releases="):
                self.releases = word.split("=", 1)[1]
            elif word.startswith("knows="):
                self.knows = word.split("=", 1)[1]
            else:
                name, text = word.split("=", 1)
                found = [p for p in self.parameters if p.name == name]
                if not found:
                    sys.exit("calls.tbl: %s has no parameter %s" % (self.name, name))
                found[0].override(text)

    def travels(self):
        return all(p.travels() for p in self.parameters)

    def sent(self):
        return self.travels() and self.kind != "refused" and not self.is_local

    def names(self):
        return ", ".join(p.name for p in self.parameters)

    def declared(self):
        return "".join(", %s %s" % (t, n) for t, n in self.function.parameters)

    def parent_of(self, handle):
        """Whose end is the end of a handle that comes from the call: the id of it, or 0."""
        for p in self.parameters:
            if p.kind == "value" and p.type == PARENTS.get(handle):
                return "%s_id" % p.name
        return "0"


def read(api_table, calls_table):
    functions = generate_api.parse(generate_api.APIS["driver_api"], api_table)
    texts = {}
    for line in open(api_table):
        match = generate_api.LINE.match(line.strip())
        if match and not line.startswith("#"):
            texts[match[1]] = [p.strip() for p in match[4].split(",") if p.strip()]
    calls = {f.name: Call(n, f, texts[f.name]) for n, f in enumerate(functions)}
    for number, line in enumerate(open(calls_table), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] not in calls:
            sys.exit("%s:%d: the API has no %s" % (calls_table, number, words[0]))
        calls[words[0]].annotate(words[1:])
    for call in calls.values():
        if call.kind in ("generic", "queued") and not call.travels():
            stuck = ", ".join(p.name for p in call.parameters if not p.travels())
            call.kind = "untold" if call.name not in ("cuInit",) else call.kind
            call.stuck = stuck
    return list(calls.values())


def ops(calls):
    digest = hashlib.sha256()
    for c in calls:
        digest.update(("%d %s %s" % (c.number, c.name, [(p.kind, p.extent, p.type) for p in c.parameters])).encode())
    yield "#pragma once\n\n#include <cstddef>\n#include <cstdint>\n\nnamespace tessera::remote {\n"
    yield "enum class Op : uint16_t {"
    for c in calls:
        yield "  %s = %d," % (c.name, c.number)
    yield "};\n\ninline constexpr size_t kCalls = %d;" % len(calls)
    yield "// Of names, numbers and parameters: sides that differ in it do not speak the same language."
    yield "inline constexpr uint64_t kCallsDigest = 0x%s;" % digest.hexdigest()[:16]
    yield "inline constexpr const char* kCallNames[kCalls] = {"
    for c in calls:
        yield '    "%s",' % c.name
    yield "};\n\nenum class HandleKind : uint8_t {\n  kNone,"
    for handle in HANDLES:
        yield "  k%s," % handle
    yield "  kCount\n};\n\n}  // namespace tessera::remote"


def rpc(calls):
    yield '#pragma once\n\n#include "cuda/driver_table.h"\n'
    yield "namespace tessera::remote::rpc {\n"
    yield "// Each sends its call and waits for the answer. per_thread: the caller's form has a default stream per thread."
    for c in calls:
        if c.sent():
            yield "CUresult %s(bool per_thread%s);" % (c.name, c.declared())
    yield "\n}  // namespace tessera::remote::rpc"


def client_body(c):
    if c.kind == "queued":
        knows = ["Known::stream(per_thread, %s)" % p.name if p.type == "CUstream" else "Known::event(%s)" % p.name
                 for p in c.parameters if p.kind == "value" and p.type in ("CUstream", "CUevent")]
        knows += ["Known::graph_exec(%s)" % p.name for p in c.parameters if p.type == "CUgraphExec"]
        if c.knows:
            knows.append("(%s)" % re.sub(r"\bdevice\(", "Known::device(", c.knows))
    yield "CUresult %s([[maybe_unused]] bool per_thread%s) {" % (c.name, c.declared())
    yield "  Request request(Op::%s, per_thread);" % c.name
    for p in c.parameters:
        if p.kind == "value":
            by_type = {"CUdevice": "device", "CUdeviceptr": "address"}
            if p.type == "CUmemGenericAllocationHandle":
                yield "  request.about(%s);" % p.name
            yield "  request.%s(%s);" % (by_type.get(p.type, "value"), p.name)
        elif p.extent == "cstr":
            yield "  request.text(%s);" % p.name
        elif p.extent is not None and p.kind == "in":
            yield "  request.array(reinterpret_cast<const %s*>(%s), %s);" % (p.element, p.name, p.count)
        elif p.kind in ("in", "inout"):
            yield "  request.structure(%s);" % p.name
        else:
            yield "  request.want(%s);" % p.name
    if c.kind == "queued":
        yield "  if (Known::healthy() && %s) return request.queue();" % " && ".join(knows or ["true"])
    for p in c.parameters:
        if p.kind in ("out", "inout") and p.extent is not None:
            yield "  const auto %s_extent = static_cast<uint64_t>(%s);" % (p.name, p.count)
    yield "  const CUresult result = request.%s();" % ("run_with_results" if c.tells else "run")
    for p in c.parameters:
        if p.kind in ("out", "inout"):
            if p.extent is not None:
                yield "  request.take_array(reinterpret_cast<%s*>(%s), %s_extent);" % (p.element, p.name, p.name)
            else:
                yield "  request.%s(%s);" % ("take_device" if p.element == "CUdevice" else "take", p.name)
                counted = [q for q in c.parameters if q.kind == "out" and q.extent is not None and q.count == "count_of(%s)" % p.name]
                if counted:
                    yield "  bound_count(%s, %s_extent, %s);" % (p.name, counted[0].name, " || ".join("%s != nullptr" % q.name for q in counted))
    yield "  return result;\n}"


def form_of_ptds(c, calls):
    """The call with a stream that means the same as a per-thread form without one."""
    stem = re.sub(r"_v\d+$", "", c.name)
    suffix = c.name[len(stem):]
    names = {x.name for x in calls}
    for candidate in (stem + "Async" + suffix, stem + "Async"):
        if candidate in names:
            return candidate
    return None


def client(calls):
    yield '#include "remote/client/known.h"\n#include "remote/client/request.h"\n#include "remote/rpc.h"\n'
    yield '#include "remote/wire/extents.h"\n'
    yield "namespace tessera::remote {\nnamespace rpc {\n"
    for c in calls:
        if c.sent():
            yield from client_body(c)
    yield "\n}  // namespace rpc\n\nnamespace {\n"
    for c in calls:
        for symbol, _, per_thread in c.function.symbols():
            declared = c.declared()[2:]
            if c.kind in ("generic", "queued"):
                name, names = c.name, c.names()
                if c.form == "ptds" and per_thread:
                    name, names = form_of_ptds(c, calls), names + ", CU_STREAM_PER_THREAD"
                yield "CUresult table_%s(%s) { return rpc::%s(%s%s); }" % (
                    symbol, declared, name, "true" if per_thread else "false", ", " + names if names else "")
            elif c.kind in ("refused", "untold"):
                yield "CUresult table_%s(%s) { return not_over_the_wire(\"%s\"); }" % (
                    symbol, ", ".join(t for t, _ in c.function.parameters), c.name)
    yield "\n}  // namespace\n\nvoid install_generated_calls(cuda::DriverTable& table) {"
    for c in calls:
        if c.kind != "custom":
            for symbol, _, _ in c.function.symbols():
                yield "  table.%s = table_%s;" % (symbol, symbol)
    yield "}\n\n}  // namespace tessera::remote"


def gives_work(c):
    """Whether something may be in a stream afterwards: a wait for another, too."""
    reads = re.match(r"cu(Stream(Get|Is|Query|Synchronize|Destroy|SetAttribute|CopyAttributes|BeginCapture|EndCapture)|Graph)", c.name)
    names_stream = any(p.type == "CUstream" and p.kind == "value" for p in c.parameters)
    return c.name in ("cuCtxRecordEvent", "cuCtxWaitEvent") or (names_stream and not reads)


def worker_body(c):
    yield "CUresult serve_%s([[maybe_unused]] Serving& s) {" % c.name
    for p in c.parameters:
        if p.kind == "value" and p.type in HANDLES:
            yield "  const uint64_t %s_id = s.in.value<uint64_t>();" % p.name
            yield "  auto %s = s.handle<%s>(HandleKind::k%s, %s_id);" % (p.name, p.type, p.type, p.name)
        elif p.kind == "value":
            yield "  auto %s = s.in.value<%s>();" % (p.name, re.sub(r"^const ", "", p.type) if not p.type.endswith("*") else p.type)
        elif p.extent == "cstr":
            yield "  const char* %s = s.in.text();" % p.name
        elif p.extent is not None and p.kind == "in":
            yield "  uint64_t %s_count = 0;" % p.name
            yield "  auto* %s = s.in.array<%s>(&%s_count);" % (p.name, p.element, p.name)
            if p.element in HANDLES:
                yield "  s.translate(HandleKind::k%s, %s, %s_count);" % (p.element, p.name, p.name)
            else:
                yield "  s.translate_embedded(%s, %s_count);" % (p.name, p.name)
        elif p.kind in ("in", "inout"):
            yield "  auto* %s = s.in.structure<%s>();" % (p.name, p.element)
            if p.element in HANDLES:
                yield "  s.translate(HandleKind::k%s, %s, %s == nullptr ? 0 : 1);" % (p.element, p.name, p.name)
            else:
                yield "  s.translate_embedded(%s, %s == nullptr ? 0 : 1);" % (p.name, p.name)
        else:
            yield "  const bool %s_wanted = s.in.wanted();" % p.name
    yield "  if (!s.in.whole()) return s.malformed();"
    for p in c.parameters:
        if p.extent is not None and p.extent != "cstr" and p.kind == "in":
            yield "  if (%s != nullptr && %s_count != static_cast<uint64_t>(%s)) return s.malformed();" % (
                p.name, p.name, p.count)
    for p in c.parameters:
        if p.kind == "out":
            # as it was asked for: the call may write the number that says it
            yield "  const auto %s_extent = static_cast<uint64_t>(%s);" % (p.name, p.count or "1")
            yield "  auto* %s = %s_wanted ? s.arena.array<%s>(%s_extent) : nullptr;" % (
                p.name, p.name, p.element, p.name)
            yield "  if (%s_wanted && %s == nullptr) return s.too_large();" % (p.name, p.name)
    yield "  if (s.failed != CUDA_SUCCESS) return s.failed;"
    yield "  if (s.table.%s == nullptr) return CUDA_ERROR_NOT_SUPPORTED;" % c.name
    if re.match(r"cuMem(cpy|set)|cuLaunch", c.name):
        yield "  s.gives_work();"
    elif gives_work(c):
        yield "  s.notes_work();"
    if c.waits:
        yield "  s.may_wait();"
    arguments = []
    for (kind, name), p in zip(c.function.parameters, c.parameters):
        if p.kind == "value":
            arguments.append(name)
        else:
            arguments.append("reinterpret_cast<%s>(%s)" % (kind, name) if p.element == "std::byte" else
                             "const_cast<%s>(%s)" % (kind, name) if p.extent == "cstr" else name)
    yield "  const CUresult result = s.table.%s(%s);" % (c.name, ", ".join(arguments))
    for p in c.parameters:
        if p.kind in ("out", "inout"):
            count = "%s_extent" % p.name if p.kind == "out" else p.count or "1"
            if p.element in HANDLES:
                yield "  s.give_handles(HandleKind::k%s, %s, %s, %s);" % (p.element, p.name, count, c.parent_of(p.element))
            else:
                yield "  s.give(%s, %s);" % (p.name, count)
    if c.destroys:
        yield "  if (result == CUDA_SUCCESS) s.handles.forget(%s_id);" % c.destroys
    if c.releases:
        yield "  if (result == CUDA_SUCCESS) s.handles.release(%s_id);" % c.releases
    yield "  return result;\n}"


def worker(calls):
    yield '#include "remote/worker/serving.h"\n#include "remote/wire/extents.h"\n'
    yield "namespace tessera::remote {\nnamespace {\n"
    for c in calls:
        if c.sent() and not c.served:
            yield from worker_body(c)
    yield "\n}  // namespace\n\n// By number; null: written by hand, or not sent."
    yield "const Serve kServes[kCalls] = {"
    for c in calls:
        yield "    %s," % ("serve_%s" % c.name if c.sent() and not c.served else "nullptr")
    yield "};\n\nconst bool kServedByHand[kCalls] = {"
    for c in calls:
        yield "    %s," % ("true" if c.served else "false")
    yield "};\n\nconst bool kWaits[kCalls] = {"
    for c in calls:
        yield "    %s," % ("true" if c.waits else "false")
    yield "};\n\n}  // namespace tessera::remote"


def document(calls):
    yield "| number | call | travels | parameters |\n|---|---|---|---|"
    for c in calls:
        kinds = ", ".join("%s %s%s" % (p.name, p.kind, "[%s]" % p.extent if p.extent else "") for p in c.parameters)
        how = "refused" if c.kind == "untold" else "local" if c.is_local else c.kind
        yield "| %d | `%s` | %s | %s |" % (c.number, c.name, how, kinds)


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    kind, api_table, calls_table, output = sys.argv[1:]
    makers = dict(ops=ops, rpc=rpc, client=client, worker=worker, document=document)
    if kind not in makers:
        sys.exit(__doc__)
    calls = read(api_table, calls_table)
    head = [] if kind == "document" else ["// Generated by generate_calls.py from driver_api.tbl and calls.tbl."]
    generate_api.write_if_changed(output, "\n".join(head + list(makers[kind](calls))) + "\n")
    if kind == "ops":
        for c in calls:
            if c.kind == "untold":
                print("not told how it travels: %s (%s)" % (c.name, c.stuck))


if __name__ == "__main__":
    main()
