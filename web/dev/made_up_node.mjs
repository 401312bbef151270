// A node that is made up, for work on the page without a daemon: the API's answers (docs/api.md), with figures
// that move by themselves. Nothing of it is in the page.
const GIB = 2 ** 30;
const NAMES = [
  'train-llama',
  'alice',
  'bob',
  'batch-embed',
  'notebook-7',
  'ci-runner',
  'inference-a',
  'inference-b',
];

// Between 0 and 1, the same for the same arguments, and smooth in time.
function wave(seed, seconds) {
  const phase = (seed * 2654435761) % 1000;
  return (
    0.5 +
    0.3 * Math.sin(seconds / (17 + (seed % 7)) + phase) +
    0.2 * Math.sin(seconds / (5 + (seed % 3)) + seed)
  );
}

export class MadeUpNode {
  constructor({ gpus = 2, tenants = 5, names = [] } = {}) {
    this.gpuCount = gpus;
    this.names = Array.from({ length: tenants }, (_, i) => names[i] ?? NAMES[i] ?? `tenant-${i}`);
    this.events = [];
    this.failing = [];
    this.note('daemon_started', '', 'tesserad 0.1.0', { version: '0.1.0' });
    this.names.forEach((name, i) => {
      const gpu = i % gpus;
      this.note('slice_opened', name, `GPU ${gpu}, 4.0GiB`, { gpu, limit_bytes: 4 * GIB, reserved: 1 });
      this.note('process_attached', name, `process ${4200 + i}`, { pid: 4200 + i });
    });
    this.note('program_failed', this.names[0] ?? '', 'CUDA error 700 on the GPU', { error: 700 }, 'warning');
    this.note('gpu_xid', 'GPU-0000', 'XID 48 (DBE)', { xid: 48, what: 'double-bit ECC error' }, 'critical');
  }

  note(kind, subject, text, details, severity = 'info') {
    const number = this.events.length + 1;
    this.events.push({
      number,
      time_ms: Date.now() - Math.round(9e5 / number),
      severity,
      kind,
      subject,
      text,
      details,
    });
  }

  // Tenants of a GPU, their promises and what they have at a time.
  partsOf(gpu, seconds) {
    const mine = this.names.map((name, i) => ({ name, i })).filter(({ i }) => i % this.gpuCount === gpu);
    const wanted = mine.map(({ i }) => wave(i + 1, seconds));
    const sum = Math.max(
      1.05,
      wanted.reduce((a, b) => a + b, 0),
    );
    return mine.map(({ name, i }, k) => {
      const limit = ((4 + (i % 3) * 6) * GIB * 3) / Math.max(3, mine.length);
      const entitled = Math.round(1000 / mine.length);
      const achieved = Math.round((wanted[k] / sum) * 1000);
      const isFull = i === 2;
      return {
        name,
        i,
        part: {
          gpu,
          limit_bytes: Math.round(limit),
          reserved: i !== 3,
          granted_bytes: Math.round(limit * 0.9),
          used_bytes: Math.round(limit * (isFull ? 1 : 0.25 + 0.6 * wave(i + 40, seconds / 4))),
          peak_bytes: Math.round(limit * (isFull ? 1 : 0.92)),
          driver_bytes: Math.round(limit * (isFull ? 1.05 : 0.95)),
          refusals: isFull ? 4 : 0,
          allocations: 100 + i,
          launches: Math.round(seconds % 1e6) * (i + 3),
          kernels: Math.round(seconds % 1e6) * (i + 3),
          bytes_to_device: Math.round((seconds % 1e6) * 1e6 * (i + 1)),
          bytes_from_device: Math.round((seconds % 1e6) * 3e5 * (i + 1)),
          bytes_on_device: 0,
          errors: 0,
          faults: i === 0 ? 1 : 0,
          turn_wait_ns: Math.round((seconds % 1e4) * 2e8),
          timed_kernels: 1000,
          timed_kernel_ns: 1000 * 350_000 * (i + 1),
          timed_kernel_buckets: [0, 20, 100, 500, 300, 75, 5, 0, 0, 0],
          gpu_seconds: (seconds % 1e4) * 0.3,
          fault: null,
          compute: {
            share_permille: entitled,
            capped: i === 1,
            priority: i === 0 ? 'high' : 'normal',
            weight: 100,
            slo_p99_ns: i === 0 ? 5e6 : 0,
            qos: 'auto',
            mode: 'auto',
            gate_copies: false,
          },
          entitled_permille: entitled,
          achieved_permille: achieved,
          lent_permille: entitled - achieved,
          qos_class: i === 0 ? 'guaranteed' : 'burstable',
          waits: 100,
          wait_p99_ns: i % 4 === 3 ? null : Math.round((0.4 + 4 * wave(i + 9, seconds)) * 1e6),
          boost_permille: 1000,
          width_sms: null,
          side_by_side: false,
          times_side_by_side: 0,
        },
      };
    });
  }

  gpus() {
    const seconds = Date.now() / 1000;
    const gpus = Array.from({ length: this.gpuCount }, (_, index) => {
      const used = this.partsOf(index, seconds).reduce((sum, { part }) => sum + part.used_bytes, 0);
      const isIll = index === 5;
      return {
        index,
        name: 'NVIDIA H100 80GB HBM3',
        uuid: `GPU-000${index}`,
        pci: `0000:${(27 + index * 32).toString(16)}:00.0`,
        driver_kind: 'nvidia',
        state: isIll ? 'quarantined' : 'ok',
        ...(isIll && {
          problem: 'an uncorrectable memory error was counted; forgive it with tessera gpus --forgive 5',
        }),
        total_bytes: 80 * GIB,
        used_bytes: isIll ? null : used + (index % 2 === 1 ? 5 * GIB : 0),
        unreserved_bytes: 20 * GIB,
        sm_count: 132,
        utilization_percent: 97,
        temperature_celsius: 61 + index,
        power_milliwatts: 412_300,
        sm_clock_mhz: 1980,
        memory_clock_mhz: 2619,
      };
    });
    return { time_ms: Date.now(), age_ms: 300, driver_kind: 'nvidia', driver_version: '570.86.15', gpus };
  }

  slices() {
    const seconds = Date.now() / 1000;
    const slices = Array.from({ length: this.gpuCount }, (_, gpu) => this.partsOf(gpu, seconds))
      .flat()
      .sort((a, b) => a.i - b.i)
      .map(({ name, i, part }) => ({
        name,
        owner: 1000,
        kept: i === 3,
        age_seconds: (seconds % 1e5) + i * 977,
        processes_ever: 1 + i,
        round_the_gate: 0,
        confined: false,
        isolated: i === 4,
        devices: [part],
        processes:
          i === 3
            ? []
            : [{ pid: 4200 + i, age_seconds: 512 + i, round_the_gate: false, used_bytes: [part.used_bytes] }],
      }));
    return { time_ms: Date.now(), slices, outside: [], failing: this.failing };
  }

  eventsAfter(after) {
    return {
      time_ms: Date.now(),
      latest: this.events.length,
      events: this.events.filter((e) => e.number > after),
    };
  }

  alerts() {
    const name = this.names[2];
    const alerts = [
      {
        rule: 'memory_full',
        severity: 'warning',
        state: 'firing',
        labels: { slice: name, gpu: String(2 % this.gpuCount) },
        value: 1,
        since_ms: Date.now() - 95_000,
        fired_ms: Date.now() - 65_000,
        resolved_ms: null,
        metric: 'slice_memory_used_bytes',
        of: 'slice_memory_limit_bytes',
        is_rate: false,
        is_absence: false,
        note: 'its next allocation may be refused',
        summary: `memory_full: slice '${name}' on GPU 0: slice_memory_used_bytes is 1 of slice_memory_limit_bytes`,
      },
      {
        rule: 'long_waits',
        severity: 'critical',
        state: 'resolved',
        labels: { slice: this.names[0] },
        value: 0.004,
        since_ms: Date.now() - 900_000,
        fired_ms: Date.now() - 840_000,
        resolved_ms: Date.now() - 600_000,
        metric: 'slice_wait_p99_seconds',
        of: null,
        is_rate: false,
        is_absence: false,
        note: '',
        summary: `long_waits: slice '${this.names[0]}': slice_wait_p99_seconds is in bounds`,
      },
    ];
    return { time_ms: Date.now(), rules: 4, alerts: name === undefined ? [] : alerts };
  }

  history(metric, seconds, slice) {
    const end = Date.now() / 1000;
    const step = Math.max(2, seconds / 300);
    const value = {
      slice_share_achieved_ratio: (part) => part.achieved_permille / 1000,
      slice_share_entitled_ratio: (part) => part.entitled_permille / 1000,
      slice_memory_used_bytes: (part) => part.used_bytes,
      slice_memory_limit_bytes: (part) => part.limit_bytes,
      slice_wait_p99_seconds: (part) => (part.wait_p99_ns === null ? null : part.wait_p99_ns / 1e9),
    }[metric];
    if (!value) return { time_ms: Date.now(), step_ms: step * 1000, series: [] };
    const points = new Map();
    for (let time = end - seconds; time < end; time += step) {
      for (let gpu = 0; gpu < this.gpuCount; ++gpu) {
        for (const { name, part } of this.partsOf(gpu, time)) {
          if (slice !== null && slice !== name) continue;
          const labels = { slice: name, gpu: String(gpu) };
          if (!points.has(name)) points.set(name, { metric, labels, points: [] });
          const figure = value(part);
          points.get(name).points.push([Math.round(time * 1000), figure, figure, figure]);
        }
      }
    }
    return { time_ms: Date.now(), step_ms: step * 1000, series: [...points.values()] };
  }
}
