"""What is promised, and where each measured figure is found: data."""
import dataclasses
import operator


@dataclasses.dataclass(frozen=True)
class Promise:
    what: str
    section: str  # of the measurements
    figure: str  # its name there
    bound: float
    unit: str
    holds: object = operator.le

    def text(self):
        return f"{'at most' if self.holds is operator.le else 'at least'} {self.bound:g} {self.unit}".strip()


SPLITS = ("10/90", "25/75", "30/70", "50/50", "40/30/15/10/5", "25/75 short", "25/75 long", "25/75 mixed", "25/75 short against long",
          "25/75 graphs", "25/75 copies", "25/75 copies held", "25/75 one never waits")

PROMISES = (
    *(Promise(f"{name}: off its split", "shares", f"{name}.off", 2, "points") for name in SPLITS),
    *(Promise(f"{name}: throughput kept", "shares", f"{name}.kept", 95, "%", operator.ge) for name in SPLITS),
    Promise("64 tenants: Jain's index by weight", "shares", "64 by weight.jain", 0.99, "", operator.ge),
    Promise("64 tenants: daemon, of one processor", "shares", "64 by weight.daemon_cpu_percent", 1, "%"),
    Promise("an idle tenant's share is used", "shares", "70 beside an idle 30.kept", 98, "%", operator.ge),
    Promise("p99 of an urgent tenant with kernels of 10 ms, against alone", "latency", "kernels of 10 ms.p99_ratio", 1.10, "x"),
    Promise("an urgent kernel against one of 0.5 s: longer than alone, p99", "latency", "short kernels against one of 0.5 s.added_p99_ms",
            2, "ms"),
    Promise("uncontended gate, a launch", "guest", "cuLaunchKernel.added_ns", 60, "ns"),
    Promise("policy core", "policies", "check.decisions_per_s", 1e6, "decisions/s", operator.ge),
    Promise("shares after the daemon's death under load, longest", "recovery", "restarts.longest_s", 1, "s"),
)
