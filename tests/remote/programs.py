"""The CUDA programs of the tests as those across a wire use them: which are left out, and why; a server for them."""
import concurrent.futures
import contextlib
import fnmatch
import os
import pathlib
import queue
import subprocess
import tempfile

# What is left out, and why: it concerns one machine only, or cannot be seen across the wire.
LEFT_OUT = {
    "driver_coredump": "core dumps of the GPU are the server's",
    "driver_faults": "puts faults into a GPU of its own machine",
    "driver_shared_handles": "descriptors do not travel",
    "driver_shared_pools": "descriptors do not travel",
    "interprocess": "descriptors do not travel",
    "driver_lazy_loading": "a function is loaded when its parameters are asked for",
    "driver_module_globals": "a library's variables have their memory from when a kernel of it is asked for, not used",
    "cub_primitives": "now and then wrong on a busy machine, without a wire, too",
}
# Programs that want arguments, or are driven by other tests.
DRIVEN = ["driver_leak_hunt", "driver_memory_walk*", "driver_round_the_gate", "driver_limit_changes",
          "driver_gated_copies", "driver_loading_in_company", "driver_larger_together", "driver_ipc_*",
          "driver_beside_others", "driver_closed_fds", "driver_dlclose", "driver_side_by_side", "driver_memory_limit", "driver_managed_memory",
          "driver_copy_shares", "driver_hidden_neighbour"]
SKIPPED = 77
LANES = 2  # programs at a time


def chosen(folder, patterns):
    for program in sorted(pathlib.Path(folder).iterdir()):
        name = program.name.split(".")[0]
        is_one = os.access(program, os.X_OK) and program.is_file() and program.suffix in ("", ".static", ".shared")
        wanted = any(fnmatch.fnmatch(program.name, p) for p in patterns)
        if is_one and wanted and name not in LEFT_OUT and not any(fnmatch.fnmatch(name, d) for d in DRIVEN):
            yield program


def ends(program, environment):
    """Its exit code and what it said last."""
    try:
        run = subprocess.run([program], env={**os.environ, **environment}, capture_output=True, text=True,
                             errors="replace", timeout=100)
        return run.returncode, (run.stdout[-300:] + run.stderr[-300:]).strip()
    except subprocess.TimeoutExpired as late:
        said = [(text or b"").decode(errors="replace")[-300:] for text in (late.stdout, late.stderr)]
        return "no end within 100 s", "".join(said).strip()


class Server:
    """A plain_server with software GPUs that nobody else uses: `here` is what a program needs to have these without a wire, `environment`
    what clients need. With TLS both sides have certificates made for this."""

    def __init__(self, program, driver, way):
        self.folder = tempfile.TemporaryDirectory()
        folder = self.folder.name
        address = {"tcp": "127.0.0.1:0", "tls": "tls://127.0.0.1:0", "shm": "shm:%s/s" % folder, "unix": "unix:%s/s" % folder}[way]
        arguments = [program, address, driver]
        self.environment = {}
        self.here = {"SOFTGPU_STATE_DIR": folder + "/softgpu", "SOFTGPU_DEVICES": "2"}
        if way == "tls":
            certificate, key = folder + "/server.pem", folder + "/server.key"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                            "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", key,
                            "-out", certificate], check=True, capture_output=True)
            arguments += ["", certificate, key]
            self.environment["TESSERA_SERVER_CA"] = certificate
        self.process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, env={**os.environ, **self.here})
        self.environment["TESSERA_SERVER"] = self.process.stdout.readline().strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        self.folder.cleanup()


def compared(found, compare, *server):
    """What `compare(program, server)` says of each program that it does not say nothing of; each has a server to itself meanwhile."""
    idle = queue.Queue()
    with contextlib.ExitStack() as stack:
        for _ in range(LANES):
            idle.put(stack.enter_context(Server(*server)))

        def in_a_lane(program):
            lane = idle.get()
            try:
                return compare(program, lane)
            finally:
                idle.put(lane)

        with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
            return [wrong for wrong in pool.map(in_a_lane, found) if wrong]
