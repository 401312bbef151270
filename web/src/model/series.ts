// Figures over time, kept in the page: bounded in points and in lines.

export type Values = (number | null)[];

export interface Point {
  key: string; // of the line
  value: number | null;
}

export class SeriesStore {
  times: number[] = []; // Unix time, ascending
  private lines = new Map<string, Values>();

  constructor(
    private readonly maxPoints: number,
    private readonly maxLines: number,
  ) {}

  // One moment's figures. A moment before the last one is left out (the clock was set back): charts need
  // ascending times.
  append(time: number, points: readonly Point[]): void {
    const last = this.times[this.times.length - 1];
    if (last !== undefined && time <= last) return;
    this.times.push(time);
    for (const { key, value } of points) {
      let line = this.lines.get(key);
      if (!line) {
        if (this.lines.size >= this.maxLines) continue;
        line = [];
        this.lines.set(key, line);
      }
      while (line.length < this.times.length - 1) line.push(null);
      line[this.times.length - 1] = value;
    }
    this.trim();
  }

  // As long as `times`.
  line(key: string): Values {
    const line = [...(this.lines.get(key) ?? [])];
    while (line.length < this.times.length) line.push(null);
    return line;
  }

  keys(): string[] {
    return [...this.lines.keys()];
  }

  private trim(): void {
    // In steps, not point by point.
    const slack = Math.max(16, this.maxPoints >> 3);
    if (this.times.length < this.maxPoints + slack) return;
    const gone = this.times.length - this.maxPoints;
    this.times.splice(0, gone);
    for (const [key, line] of this.lines) {
      line.splice(0, gone);
      if (line.every((value) => value === null)) this.lines.delete(key);
    }
  }
}

export interface Lines {
  times: number[];
  lines: Map<string, Values>;
}

// History and what was seen since, as one: of the first what lies before the second.
export function joinLines(before: Lines, after: Lines): Lines {
  const start = after.times[0] ?? Infinity;
  const kept = before.times.findIndex((time) => time >= start);
  const count = kept === -1 ? before.times.length : kept;
  const lines = new Map<string, Values>();
  for (const key of new Set([...before.lines.keys(), ...after.lines.keys()])) {
    const old = before.lines.get(key)?.slice(0, count) ?? new Array<null>(count).fill(null);
    const recent = after.lines.get(key) ?? new Array<null>(after.times.length).fill(null);
    lines.set(key, [...old, ...recent]);
  }
  return { times: [...before.times.slice(0, count), ...after.times], lines };
}

// The `most` largest lines by their sum, and all others added up as one where there are any.
export function largestLines(
  lines: ReadonlyMap<string, Values>,
  most: number,
): { top: string[]; others: Values | null } {
  const weight = (values: Values): number => values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
  const byWeight = [...lines.keys()].sort(
    (a, b) => weight(lines.get(b)!) - weight(lines.get(a)!) || (a < b ? -1 : 1),
  );
  const top = byWeight.slice(0, most).sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  const rest = byWeight.slice(most);
  if (rest.length === 0) return { top, others: null };
  const others: Values = [];
  for (const key of rest) {
    lines.get(key)!.forEach((value, i) => {
      if (value !== null) others[i] = (others[i] ?? 0) + value;
      else if (others[i] === undefined) others[i] = null;
    });
  }
  return { top, others };
}

// Each line on top of those before it, for stacked areas. null counts as nothing where another line has a value.
export function stackLines(lines: readonly Values[]): Values[] {
  const length = Math.max(0, ...lines.map((line) => line.length));
  const sums: Values = new Array<number | null>(length).fill(null);
  const known = Array.from({ length }, (_, i) => lines.some((line) => (line[i] ?? null) !== null));
  return lines.map((line) => {
    for (let i = 0; i < length; ++i) {
      if (known[i]) sums[i] = (sums[i] ?? 0) + (line[i] ?? 0);
    }
    return [...sums];
  });
}
