// Figures as text, in the language given. "–" where there is none.

export const NONE = '–';

const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

const formats = new Map<string, Intl.NumberFormat>();

function number(language: string, digits: number): Intl.NumberFormat {
  const key = `${language} ${digits}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(language, {
      minimumFractionDigits: digits,
      maximumFractionDigits: digits,
    });
    formats.set(key, format);
  }
  return format;
}

export function formatCount(value: number, language: string): string {
  if (value < 1e6) return number(language, 0).format(value);
  // British English would write a million as a small m.
  return new Intl.NumberFormat(language.startsWith('en') ? 'en-US' : language, {
    notation: 'compact',
    maximumFractionDigits: 1,
  }).format(value);
}

// Three significant digits at least: "512 MiB", "1.50 GiB".
export function formatBytes(bytes: number | null, language: string): string {
  if (bytes === null) return NONE;
  let unit = 0;
  let value = bytes;
  while (Math.abs(value) >= 1024 && unit < BINARY.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const whole = unit === 0 || Math.abs(value) >= 100 || Number.isInteger(value);
  return `${number(language, whole ? 0 : Math.abs(value) >= 10 ? 1 : 2).format(value)} ${BINARY[unit]}`;
}

export function formatPermille(permille: number | null, language: string, digits = 1): string {
  return permille === null ? NONE : `${number(language, digits).format(permille / 10)}%`;
}

// A wait: "850 ns", "1.25 ms", "2.10 s".
export function formatNanoseconds(ns: number | null, language: string): string {
  if (ns === null) return NONE;
  if (ns >= 60e9) return formatDuration(ns / 1e9, language);
  const units: [number, string][] = [
    [1e9, 's'],
    [1e6, 'ms'],
    [1e3, 'µs'],
  ];
  for (const [worth, unit] of units) {
    if (ns < worth) continue;
    const value = ns / worth;
    return `${number(language, value >= 100 ? 0 : value >= 10 ? 1 : 2).format(value)} ${unit}`;
  }
  return `${number(language, 0).format(ns)} ns`;
}

// How long something has been: the two largest units, "3 d 4 h", "12 min 5 s".
export function formatDuration(seconds: number, language: string): string {
  const units = language.startsWith('zh') ? ['天', '小时', '分', '秒'] : ['d', 'h', 'min', 's'];
  const whole = Math.max(0, Math.floor(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86400), units[0]],
    [Math.floor(whole / 3600) % 24, units[1]],
    [Math.floor(whole / 60) % 60, units[2]],
    [whole % 60, units[3]],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first === -1) return `0 ${units[3]}`;
  return parts
    .slice(first, first + 2)
    .filter(([value], i) => i === 0 || value > 0)
    .map(([value, unit]) => `${value} ${unit}`)
    .join(' ');
}

// "5 seconds ago", "2 hours ago"; times to come count as now.
export function formatAgo(seconds: number, language: string): string {
  const format = new Intl.RelativeTimeFormat(language, { numeric: 'auto', style: 'short' });
  const ago = Math.max(0, seconds);
  if (ago < 1) return format.format(0, 'second');
  if (ago < 60) return format.format(-Math.floor(ago), 'second');
  if (ago < 3600) return format.format(-Math.floor(ago / 60), 'minute');
  if (ago < 86400) return format.format(-Math.floor(ago / 3600), 'hour');
  return format.format(-Math.floor(ago / 86400), 'day');
}

export function formatMoment(unixSeconds: number, language: string): string {
  return new Intl.DateTimeFormat(language, {
    dateStyle: 'medium',
    timeStyle: 'medium',
    hourCycle: 'h23',
  }).format(unixSeconds * 1000);
}
