// What the daemon's HTTP API answers (docs/api.md), as the page uses it. Sizes are bytes, shares are
// thousandths of a GPU, times are seconds unless the name says otherwise.

export type GpuState = 'ok' | 'lost' | 'unavailable' | 'quarantined';

export interface Gpu {
  index: number;
  name: string;
  uuid: string;
  pci: string | null;
  driverKind: string;
  state: GpuState;
  problem: string;
  totalBytes: number;
  usedBytes: number | null;
  unreservedBytes: number;
  smCount: number | null;
  utilizationPercent: number | null;
  // null where the driver does not tell
  temperatureCelsius: number | null;
  powerWatts: number | null;
  smClockMhz: number | null;
  memoryClockMhz: number | null;
}

export interface Gpus {
  driverKind: string;
  driverVersion: string;
  problem: string;
  gpus: Gpu[];
}

export interface Compute {
  sharePermille: number;
  capped: boolean;
  priority: string;
  weight: number;
  sloP99Ns: number;
  mode: string;
}

export interface RunTimes {
  kernels: number;
  meanNs: number;
  p99Ns: number | null; // at most; null: longer than the daemon tells apart
}

// A slice's part of one GPU.
export interface Part {
  gpu: number;
  limitBytes: number;
  reserved: boolean;
  usedBytes: number;
  peakBytes: number;
  driverBytes: number | null; // null where the driver does not tell it
  residentBytes: number | null; // null where memory is not overcommitted
  refusals: number;
  launches: number;
  gpuSeconds: number;
  // null where the daemon does not count them
  bytesToDevice: number | null;
  bytesFromDevice: number | null;
  bytesOnDevice: number | null;
  errors: number | null;
  faults: number | null;
  turnWaitNs: number | null;
  runs: RunTimes | null; // of kernels; null where none was timed
  fault: number | null;
  compute: Compute;
  sms: string;
  entitledPermille: number;
  achievedPermille: number;
  lentPermille: number;
  qosClass: string;
  waits: number;
  waitP99Ns: number | null;
  sideBySide: boolean;
  thrashing: boolean; // much of the GPU's time goes into moving memory
}

export interface Process {
  pid: number;
  ageSeconds: number;
  roundTheGate: boolean;
  usedBytes: number[]; // in the order of Slice.parts
}

export interface Slice {
  name: string;
  owner: number;
  kept: boolean;
  ageSeconds: number;
  processesEver: number;
  roundTheGate: number;
  confined: boolean;
  isolated: boolean;
  parts: Part[];
  processes: Process[];
}

// A process that works on a GPU without a slice.
export interface Outside {
  gpu: number;
  pid: number;
  utilizationPercent: number;
}

export interface Failing {
  name: string;
  faults: number;
  isolated: boolean;
  quarantined: boolean;
  waitsSeconds: number;
}

export interface Slices {
  time: number | null; // Unix time by the daemon's clock
  slices: Slice[];
  outside: Outside[];
  failing: Failing[];
}

export type Severity = 'info' | 'warning' | 'critical';

export interface NodeEvent {
  number: number; // grows by one with each
  time: number; // Unix time
  kind: string;
  severity: Severity;
  subject: string; // a slice's name or a GPU's UUID; empty: the node
  text: string;
  details: Details | null; // what the text says, by names; null where the daemon tells none
}

export type Details = Record<string, string | number>;

export type AlertState = 'firing' | 'pending' | 'resolved';

export interface Alert {
  rule: string;
  state: AlertState;
  severity: Severity;
  labels: Record<string, string>; // slice, gpu, …
  value: number | null;
  since: number | null; // Unix time
  resolved: number | null;
  metric: string; // empty where the daemon tells only the summary
  of: string; // the figure that the value is a part of; empty: none
  isRate: boolean; // the value is what it grows by in a second
  isAbsence: boolean;
  note: string; // of the rule's author
  summary: string;
}

export interface Alerts {
  rules: number; // that are evaluated
  alerts: Alert[];
}

export interface Info {
  version: string;
  hostname: string;
  hasHistory: boolean;
}
