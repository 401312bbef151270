// A GPU as a mosaic: cells of equal worth, filled by what each tenant has and tinted by what it may have.

export interface MosaicPart {
  key: string;
  solid: number; // what it has
  reserved: number; // what else is promised to it
}

export interface MosaicBand {
  key: string;
  solid: number; // cells
  tinted: number; // cells that follow
}

// Shares `cells` by `weights` whose sum stands for `total`: largest remainders, and one cell at least for
// whatever is more than nothing, as long as there are cells. Weights that add up to more are scaled down.
export function apportion(weights: readonly number[], total: number, cells: number): number[] {
  const sum = weights.reduce((a, b) => a + Math.max(0, b), 0);
  const whole = Math.max(total, sum);
  if (!(whole > 0) || cells <= 0) return weights.map(() => 0);
  const exact = weights.map((weight) => (Math.max(0, weight) / whole) * cells);
  const shares = exact.map((share) => (share > 0 ? Math.max(1, Math.floor(share)) : 0));
  const wanted = Math.min(cells, Math.max(Math.round((sum / whole) * cells), sum > 0 ? 1 : 0));
  let left = wanted - shares.reduce((a, b) => a + b, 0);
  const byRemainder = exact.map((_, i) => i).sort((a, b) => remainder(exact[b]) - remainder(exact[a]));
  for (const i of byRemainder) {
    if (left <= 0) break;
    if (exact[i] < 1) continue; // has got its cell already
    shares[i] += 1;
    left -= 1;
  }
  // Small ones got more than was theirs: the largest pay for it, and the last go without where cells are few.
  while (shares.reduce((a, b) => a + b, 0) > cells) {
    const largest = shares.indexOf(Math.max(...shares));
    if (shares[largest] > 1) shares[largest] -= 1;
    else shares[shares.lastIndexOf(1)] = 0;
  }
  return shares;
}

const remainder = (share: number): number => share - Math.floor(share);

export function mosaic(parts: readonly MosaicPart[], total: number, cells: number): MosaicBand[] {
  const solid = apportion(
    parts.map((part) => part.solid),
    total,
    cells,
  );
  const filled = solid.reduce((a, b) => a + b, 0);
  const reserved = parts.map((part) => Math.max(0, part.reserved));
  const free = Math.max(0, total - parts.reduce((sum, part) => sum + Math.max(0, part.solid), 0));
  const tinted = apportion(reserved, free, cells - filled);
  return parts.map((part, i) => ({ key: part.key, solid: solid[i], tinted: tinted[i] }));
}

// The outline of cells `from` to `from + count` of a grid filled column by column, as an SVG path; a cell is
// a square of 1 with `gap` free around it.
export function cellsPath(from: number, count: number, rows: number, gap: number): string {
  let path = '';
  const side = 1 - gap;
  for (let cell = from; cell < from + count; ++cell) {
    const x = Math.floor(cell / rows) + gap / 2;
    const y = (cell % rows) + gap / 2;
    path += `M${round(x)} ${round(y)}h${round(side)}v${round(side)}h-${round(side)}z`;
  }
  return path;
}

const round = (value: number): number => Math.round(value * 100) / 100;
