// The daemon's history, as lines for the charts.
import type { Lines, Values } from '../model/series';
import { lineKey, type Metric, METRICS } from '../model/timeline';
import { ask } from './client';
import { asList, asNumber, asObject, asText, asTime } from './read';

export type Range = '5m' | '1h' | '24h' | '7d';

export const RANGES: Record<Range, { seconds: number; refreshMs: number }> = {
  '5m': { seconds: 300, refreshMs: 60_000 },
  '1h': { seconds: 3600, refreshMs: 30_000 },
  '24h': { seconds: 86_400, refreshMs: 120_000 },
  '7d': { seconds: 604_800, refreshMs: 600_000 },
};

export interface HistoryAnswer {
  lines: Partial<Record<Metric, Lines>>;
  problem: string; // why there is none
}

// What a figure is called in the API, and how many of the page's units one of its units is.
const SOURCES: Record<Metric, { name: string; unit: number }> = {
  share: { name: 'slice_share_achieved_ratio', unit: 1000 },
  entitled: { name: 'slice_share_entitled_ratio', unit: 1000 },
  memory: { name: 'slice_memory_used_bytes', unit: 1 },
  limit: { name: 'slice_memory_limit_bytes', unit: 1 },
  wait: { name: 'slice_wait_p99_seconds', unit: 1e9 },
};

// Of tenant `only`, with what it was promised, or of all.
export async function askHistory(range: Range, only: string | null): Promise<HistoryAnswer> {
  const answer: HistoryAnswer = { lines: {}, problem: '' };
  const wanted = METRICS.filter((metric) => only !== null || (metric !== 'entitled' && metric !== 'limit'));
  await Promise.all(
    wanted.map(async (metric) => {
      const query = new URLSearchParams({ metric: SOURCES[metric].name, since: range });
      if (only !== null) query.set('slice', only);
      try {
        answer.lines[metric] = readLines(
          await ask(`/api/v1/history?${query.toString()}`),
          SOURCES[metric].unit,
        );
      } catch (error) {
        // That nobody answers is said elsewhere.
        answer.problem ||= (error as Error).message;
      }
    }),
  );
  return answer;
}

// {"series": [{"labels": {"slice", "gpu"}, "points": [[time_ms, mean, least, most, seconds], …]}]} as lines over
// common times.
export function readLines(answer: unknown, unit: number): Lines {
  const stepS = (asNumber(asObject(answer).step_ms) ?? 0) / 1000;
  const found = asList(asObject(answer).series).map((series) => {
    const labels = asObject(series.labels);
    return {
      key: lineKey(Number(labels.gpu ?? 0), asText(labels.slice)),
      points: (Array.isArray(series.points) ? series.points : []).flatMap(
        (point: unknown): HistoryPoint[] => {
          const [time, mean, , , seconds] = Array.isArray(point) ? point : [];
          const at = asTime(time);
          const value = asNumber(mean);
          if (at === null) return [];
          return [{ at, value: value === null ? null : value * unit, seconds: asNumber(seconds) ?? 0 }];
        },
      ),
    };
  });
  const times = [...new Set(found.flatMap(({ points }) => points.map(({ at }) => at)))].sort((a, b) => a - b);
  const lines = new Map<string, Values>();
  for (const { key, points } of found) lines.set(key, valuesAt(times, points, stepS));
  return { times, lines };
}

interface HistoryPoint {
  at: number; // Unix time
  value: number | null;
  seconds: number; // that it stands for, until its step's end
}

// Who ends is sampled between the others' samples: theirs of the next time stand for that one, too. Without them
// the sum of all would fall there.
function valuesAt(times: readonly number[], points: readonly HistoryPoint[], stepS: number): Values {
  let next = 0;
  return times.map((time) => {
    while (next < points.length && points[next].at < time) ++next;
    const point = points[next];
    const from = point && Math.min(point.at, point.at - point.seconds + stepS);
    return from !== undefined && from <= time ? point.value : null;
  });
}
