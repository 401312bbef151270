// Answers of the API to the types of the page. What is missing or of another kind gets a value that shows
// as "none": an older or newer daemon must not take the page down.
import type {
  Alert,
  Alerts,
  AlertState,
  Compute,
  Details,
  Failing,
  Gpu,
  Gpus,
  GpuState,
  Info,
  NodeEvent,
  Outside,
  Part,
  Process,
  RunTimes,
  Severity,
  Slice,
  Slices,
} from './types';

export type Json = Record<string, unknown>;

const GPU_STATES: readonly GpuState[] = ['ok', 'lost', 'unavailable', 'quarantined'];
const SEVERITIES: readonly Severity[] = ['info', 'warning', 'critical'];
const ALERT_STATES: readonly AlertState[] = ['firing', 'pending', 'resolved'];

export function asObject(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};
}

export function asList(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(asObject) : [];
}

export function asNumber(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

export function asText(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

export function asOneOf<T extends string>(value: unknown, names: readonly T[], otherwise: T): T {
  return names.find((name) => name === value) ?? otherwise;
}

// Unix time of a time in milliseconds.
export function asTime(value: unknown): number | null {
  const ms = asNumber(value);
  return ms === null ? null : ms / 1000;
}

const count = (value: unknown): number => asNumber(value) ?? 0;

function scaled(value: unknown, unit: number): number | null {
  const known = asNumber(value);
  return known === null ? null : known * unit;
}

// Bounds of the daemon's buckets (src/cuda/run_times.h), in nanoseconds.
const RUN_BOUNDS = [4e3, 16e3, 64e3, 256e3, 1e6, 4e6, 16e6, 64e6, 256e6, 1e9];

// A bucket has what is not in the one before.
function readRunTimes(part: Json): RunTimes | null {
  const kernels = count(part.timed_kernels);
  const buckets = Array.isArray(part.timed_kernel_buckets) ? part.timed_kernel_buckets.map(count) : [];
  if (kernels === 0 || buckets.length !== RUN_BOUNDS.length) return null;
  let upTo = 0;
  const place = buckets.findIndex((bucket) => (upTo += bucket) >= 0.99 * kernels);
  return {
    kernels,
    meanNs: count(part.timed_kernel_ns) / kernels,
    p99Ns: place === -1 ? null : RUN_BOUNDS[place],
  };
}

function readGpu(gpu: Json): Gpu {
  return {
    index: count(gpu.index),
    name: asText(gpu.name),
    uuid: asText(gpu.uuid),
    pci: asText(gpu.pci) || null,
    driverKind: asText(gpu.driver_kind),
    state: asOneOf(gpu.state, GPU_STATES, 'unavailable'),
    problem: asText(gpu.problem),
    totalBytes: count(gpu.total_bytes),
    usedBytes: asNumber(gpu.used_bytes),
    unreservedBytes: count(gpu.unreserved_bytes),
    smCount: asNumber(gpu.sm_count),
    utilizationPercent: asNumber(gpu.utilization_percent),
    temperatureCelsius: asNumber(gpu.temperature_celsius),
    powerWatts: scaled(gpu.power_milliwatts, 1e-3),
    smClockMhz: asNumber(gpu.sm_clock_mhz),
    memoryClockMhz: asNumber(gpu.memory_clock_mhz),
  };
}

export function readGpus(answer: unknown): Gpus {
  const object = asObject(answer);
  return {
    driverKind: asText(object.driver_kind),
    driverVersion: asText(object.driver_version),
    problem: asText(object.problem),
    gpus: asList(object.gpus).map(readGpu),
  };
}

function readCompute(compute: Json): Compute {
  return {
    sharePermille: count(compute.share_permille),
    capped: compute.capped === true,
    priority: asText(compute.priority),
    weight: count(compute.weight),
    sloP99Ns: count(compute.slo_p99_ns),
    mode: asText(compute.mode),
  };
}

function readPart(part: Json): Part {
  return {
    gpu: count(part.gpu),
    limitBytes: count(part.limit_bytes),
    reserved: part.reserved === true,
    usedBytes: count(part.used_bytes),
    peakBytes: count(part.peak_bytes),
    driverBytes: asNumber(part.driver_bytes),
    residentBytes: asNumber(part.resident_bytes),
    refusals: count(part.refusals),
    launches: count(part.launches),
    gpuSeconds: count(part.gpu_seconds),
    bytesToDevice: asNumber(part.bytes_to_device),
    bytesFromDevice: asNumber(part.bytes_from_device),
    bytesOnDevice: asNumber(part.bytes_on_device),
    errors: asNumber(part.errors),
    faults: asNumber(part.faults),
    turnWaitNs: asNumber(part.turn_wait_ns),
    runs: readRunTimes(part),
    fault: asNumber(part.fault),
    compute: readCompute(asObject(part.compute)),
    sms: asText(part.sms),
    entitledPermille: count(part.entitled_permille),
    achievedPermille: count(part.achieved_permille),
    lentPermille: count(part.lent_permille),
    qosClass: asText(part.qos_class),
    waits: count(part.waits),
    waitP99Ns: asNumber(part.wait_p99_ns),
    sideBySide: part.side_by_side === true,
    thrashing: part.thrashing === true,
  };
}

function readProcess(process: Json): Process {
  return {
    pid: count(process.pid),
    ageSeconds: count(process.age_seconds),
    roundTheGate: process.round_the_gate === true,
    usedBytes: Array.isArray(process.used_bytes) ? process.used_bytes.map(count) : [],
  };
}

function readSlice(slice: Json): Slice {
  return {
    name: asText(slice.name),
    owner: count(slice.owner),
    kept: slice.kept === true,
    ageSeconds: count(slice.age_seconds),
    processesEver: count(slice.processes_ever),
    roundTheGate: count(slice.round_the_gate),
    confined: slice.confined === true,
    isolated: slice.isolated === true,
    parts: asList(slice.devices).map(readPart),
    processes: asList(slice.processes).map(readProcess),
  };
}

function readOutside(process: Json): Outside {
  return {
    gpu: count(process.gpu),
    pid: count(process.pid),
    utilizationPercent: count(process.utilization_percent),
  };
}

function readFailing(tenant: Json): Failing {
  return {
    name: asText(tenant.name),
    faults: count(tenant.faults),
    isolated: tenant.isolated === true,
    quarantined: tenant.quarantined === true,
    waitsSeconds: count(tenant.waits_seconds),
  };
}

export function readSlices(answer: unknown): Slices {
  const object = asObject(answer);
  return {
    time: asTime(object.time_ms),
    slices: asList(object.slices).map(readSlice),
    outside: asList(object.outside).map(readOutside),
    failing: asList(object.failing).map(readFailing),
  };
}

function readEvent(event: Json): NodeEvent {
  return {
    number: count(event.number),
    time: asTime(event.time_ms) ?? 0,
    kind: asText(event.kind),
    severity: asOneOf(event.severity, SEVERITIES, 'info'),
    subject: asText(event.subject),
    text: asText(event.text),
    details: readDetails(event.details),
  };
}

function readDetails(value: unknown): Details | null {
  const told = Object.entries(asObject(value)).flatMap(([name, detail]) =>
    typeof detail === 'string' || typeof detail === 'number' ? [[name, detail] as const] : [],
  );
  return value === undefined ? null : Object.fromEntries(told);
}

export interface EventsAnswer {
  latest: number;
  events: NodeEvent[]; // the oldest first
}

export function readEvents(answer: unknown): EventsAnswer {
  const object = asObject(answer);
  return { latest: count(object.latest), events: asList(object.events).map(readEvent) };
}

function readAlert(alert: Json): Alert {
  const labels = Object.entries(asObject(alert.labels)).map(([name, value]) => [name, String(value)]);
  return {
    rule: asText(alert.rule),
    state: asOneOf(alert.state, ALERT_STATES, 'pending'),
    severity: asOneOf(alert.severity, SEVERITIES, 'warning'),
    labels: Object.fromEntries(labels) as Record<string, string>,
    value: asNumber(alert.value),
    since: asTime(alert.fired_ms) ?? asTime(alert.since_ms),
    resolved: asTime(alert.resolved_ms),
    metric: asText(alert.metric),
    of: asText(alert.of),
    isRate: alert.is_rate === true,
    isAbsence: alert.is_absence === true,
    note: asText(alert.note),
    summary: asText(alert.summary),
  };
}

export function readAlerts(answer: unknown): Alerts {
  const object = asObject(answer);
  return { rules: count(object.rules), alerts: asList(object.alerts).map(readAlert) };
}

export function readInfo(answer: unknown): Info {
  const object = asObject(answer);
  return {
    version: asText(object.version),
    hostname: asText(object.hostname),
    // Who does not say is asked.
    hasHistory: object.history !== false,
  };
}
