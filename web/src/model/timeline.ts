// What the charts show: a line per tenant, of one GPU or of all.
import type { Gpus, Slices } from '../api/types';
import { type Lines, type Point, SeriesStore, type Values } from './series';

// share and entitled: thousandths of a GPU; memory and limit: bytes; wait: nanoseconds, p99.
export const METRICS = ['share', 'entitled', 'memory', 'limit', 'wait'] as const;
export type Metric = (typeof METRICS)[number];

const MAX_POINTS = 300;
const MAX_LINES = 512;
// Nothing was seen for so long (the page was hidden, the daemon away): the line is broken there.
const GAP_S = 15;

export type LiveSeries = Record<Metric, SeriesStore>;

export function emptyLive(): LiveSeries {
  const store = (): SeriesStore => new SeriesStore(MAX_POINTS, MAX_LINES);
  return { share: store(), entitled: store(), memory: store(), limit: store(), wait: store() };
}

export function lineKey(gpu: number, name: string): string {
  return `${gpu}/${name}`;
}

export function recordLive(live: LiveSeries, time: number, slices: Slices): void {
  const points: Record<Metric, Point[]> = { share: [], entitled: [], memory: [], limit: [], wait: [] };
  for (const slice of slices.slices) {
    for (const part of slice.parts) {
      const key = lineKey(part.gpu, slice.name);
      points.share.push({ key, value: part.achievedPermille });
      points.entitled.push({ key, value: part.entitledPermille });
      points.memory.push({ key, value: part.usedBytes });
      points.limit.push({ key, value: part.reserved ? part.limitBytes : null });
      points.wait.push({ key, value: part.waitP99Ns });
    }
  }
  for (const metric of METRICS) {
    const last = live[metric].times.at(-1);
    if (last !== undefined && time - last > GAP_S) live[metric].append(last + 1, []);
    live[metric].append(time, points[metric]);
  }
}

// By line key, as far back as the page has been open.
export function liveLines(store: SeriesStore): Lines {
  const lines = new Map<string, Values>();
  for (const key of store.keys()) lines.set(key, store.line(key));
  return { times: [...store.times], lines };
}

// By tenant: of GPU `gpu` (null: all), of tenant `only` (null: all). Several GPUs' parts of a tenant add up;
// of waits the longest counts.
export function byTenant(lines: Lines, metric: Metric, gpu: number | null, only: string | null): Lines {
  const tenants = new Map<string, Values>();
  for (const [key, values] of lines.lines) {
    const slash = key.indexOf('/');
    const name = key.slice(slash + 1);
    if (gpu !== null && Number(key.slice(0, slash)) !== gpu) continue;
    if (only !== null && name !== only) continue;
    const before = tenants.get(name);
    tenants.set(name, before ? combine(before, values, metric) : values);
  }
  return { times: lines.times, lines: tenants };
}

function combine(a: Values, b: Values, metric: Metric): Values {
  return a.map((value, i) => {
    const other = b[i] ?? null;
    if (value === null || other === null) return value ?? other;
    return metric === 'wait' ? Math.max(value, other) : value + other;
  });
}

// Only what lies within `seconds` before the last moment.
export function lastSeconds(lines: Lines, seconds: number, now: number): Lines {
  const from = lines.times.findIndex((time) => time >= now - seconds);
  if (from <= 0) return from === 0 ? lines : { times: [], lines: new Map() };
  const cut = new Map([...lines.lines].map(([key, values]) => [key, values.slice(from)]));
  return { times: lines.times.slice(from), lines: cut };
}

// Whose half is round, too. Shares of a GPU over some seconds may come to a little more than all of it.
const STEPS: Partial<Record<Metric, number[]>> = {
  memory: [1, 1.25, 1.5, 2],
  share: [1, 1.2, 1.6, 2, 2.4, 3, 4, 5, 6, 8, 10],
};

// A round figure that is not below `max`: of bytes a multiple of a power of two.
export function niceTop(metric: Metric, max: number | null): number {
  if (max === null || !(max > 0)) return metric === 'share' ? 1000 : 1;
  const base = metric === 'memory' ? 2 : 10;
  const steps = STEPS[metric] ?? [1, 2, 4, 6, 8, 10];
  const power = base ** Math.floor(Math.log(max) / Math.log(base) + 1e-9);
  return steps.map((step) => step * power).find((top) => top >= max * 0.9999) ?? base * power;
}

// What the scale of shares reaches to: all that the chosen GPUs have.
export function wholeShare(gpus: Gpus | null, gpu: number | null): number {
  const chosen = (gpus?.gpus ?? []).filter((one) => gpu === null || one.index === gpu);
  return Math.max(1, chosen.length) * 1000;
}
