// Tenants as rows of a table: one per part of a GPU.
import type { Part, Slice } from '../api/types';

export interface Row {
  key: string;
  slice: Slice;
  part: Part | null; // none of a slice without a GPU
}

export type SortKey = 'name' | 'gpu' | 'memory' | 'compute' | 'wait' | 'refusals' | 'gpuTime' | 'age';

export interface Sort {
  key: SortKey;
  descending: boolean;
}

const VALUES: Record<SortKey, (row: Row) => number | string> = {
  name: (row) => row.slice.name,
  gpu: (row) => row.part?.gpu ?? -1,
  memory: (row) => row.part?.usedBytes ?? -1,
  compute: (row) => row.part?.achievedPermille ?? -1,
  wait: (row) => row.part?.waitP99Ns ?? -1,
  refusals: (row) => row.part?.refusals ?? -1,
  gpuTime: (row) => row.part?.gpuSeconds ?? -1,
  age: (row) => row.slice.ageSeconds,
};

export function rowsOf(slices: readonly Slice[]): Row[] {
  return slices.flatMap((slice): Row[] =>
    slice.parts.length === 0
      ? [{ key: `${slice.owner}/${slice.name}`, slice, part: null }]
      : slice.parts.map((part) => ({ key: `${slice.owner}/${slice.name}/${part.gpu}`, slice, part })),
  );
}

// Rows whose name, process or class has every word of `filter`; "gpu:1" asks for a GPU.
export function filterRows(rows: readonly Row[], filter: string): Row[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return rows.filter((row) => words.every((word) => matches(row, word)));
}

function matches(row: Row, word: string): boolean {
  const gpu = /^gpu:(\d+)$/.exec(word);
  if (gpu) return row.part?.gpu === Number(gpu[1]);
  const { slice, part } = row;
  return (
    slice.name.toLowerCase().includes(word) ||
    (part !== null && (part.qosClass.includes(word) || part.compute.priority.includes(word))) ||
    slice.processes.some((process) => String(process.pid) === word)
  );
}

export function sortRows(rows: readonly Row[], sort: Sort): Row[] {
  const value = VALUES[sort.key];
  const sign = sort.descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const x = value(a);
    const y = value(b);
    const order = typeof x === 'string' ? x.localeCompare(String(y), 'en', { numeric: true }) : x - Number(y);
    return order !== 0 ? sign * order : a.key.localeCompare(b.key, 'en', { numeric: true });
  });
}

// Pressing a column's head once more turns its order around; figures begin with the largest.
export function nextSort(sort: Sort, key: SortKey): Sort {
  if (sort.key === key) return { key, descending: !sort.descending };
  return { key, descending: key !== 'name' && key !== 'gpu' };
}
