// A chart over time. uPlot draws; the legend, which says the values under the pointer, is ours.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { stackLines, type Values } from '../model/series';

export interface ChartLine {
  label: string;
  values: Values;
  colour: string; // the name of a custom property, as "--accent-3"
  dashed?: boolean;
}

export interface ChartProps {
  title: string;
  times: number[];
  lines: ChartLine[]; // stacked where `stacked`, dashed ones never
  stacked: boolean;
  top(max: number | null): number; // of the scale, where `max` is the largest value
  scale: string; // changes where `top` does
  from: number; // Unix time at the left
  to: number;
  height: number;
  locale: string;
  format(value: number | null): string;
  summary: string; // for screen readers
  emptyText: string;
  keysText: string; // how to go through it by keyboard
  repaint: string; // changes with theme and language
}

const SYNC = 'tessera';

function colourOf(element: Element, name: string): string {
  return getComputedStyle(element).getPropertyValue(name).trim();
}

// `part` of a colour, the rest of another; both as #rrggbb.
function mix(colour: string, other: string, part: number): string {
  const channels = (text: string): number[] => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
  const [a, b] = [channels(colour), channels(other)];
  const mixed = a.map((value, i) => Math.round(value * part + b[i] * (1 - part)));
  return mixed.every(Number.isFinite) ? `rgb(${mixed.join(' ')})` : colour;
}

function dataOf(props: ChartProps): uPlot.AlignedData {
  const solid = props.lines.filter((line) => !line.dashed);
  const dashed = props.lines.filter((line) => line.dashed);
  const values = solid.map((line) => line.values);
  const drawn = props.stacked ? stackLines(values) : values;
  // The topmost first, so that those below are painted over it.
  return [
    props.times,
    ...(props.stacked ? [...drawn].reverse() : drawn),
    ...dashed.map((line) => line.values),
  ];
}

function optionsOf(
  element: Element,
  props: ChartProps,
  width: number,
  onIndex: (index: number | null) => void,
): uPlot.Options {
  const text = colourOf(element, '--muted');
  const grid = colourOf(element, '--grid');
  const surface = colourOf(element, '--surface');
  const font = `11px ${getComputedStyle(element).fontFamily}`;
  const solid = props.lines.filter((line) => !line.dashed);
  const ordered = props.stacked ? [...solid].reverse() : solid;
  const time = new Intl.DateTimeFormat(props.locale, {
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const second = new Intl.DateTimeFormat(props.locale, { timeStyle: 'medium', hourCycle: 'h23' });
  const day = new Intl.DateTimeFormat(props.locale, { month: 'short', day: 'numeric' });
  return {
    width,
    height: props.height,
    padding: [8, 26, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: SYNC }, points: { size: 6 }, drag: { x: false, y: false }, y: false },
    scales: {
      x: { time: true, range: (_u, min, max) => [min, max] },
      y: { range: (_u, _min, max) => [0, props.top(max)] },
    },
    axes: [
      {
        stroke: text,
        font,
        grid: { show: false },
        ticks: { stroke: grid, width: 1, size: 4 },
        // Seconds are longer; they are told of up to ten minutes.
        space: (_u, _axis, min, max) => (max - min < 600 ? 72 : 46),
        size: 26,
        values: (_u, splits, _axis, _space, step) =>
          splits.map((split) => (step < 60 ? second : step >= 86400 ? day : time).format(split * 1000)),
      },
      {
        stroke: text,
        font,
        grid: { stroke: grid, width: 1 },
        ticks: { show: false },
        size: 62,
        gap: 6,
        splits: (_u, _axis, min, max) => [0, 1, 2, 3, 4].map((i) => min + ((max - min) * i) / 4),
        values: (_u, splits) => splits.map((split, i) => (i % 2 === 0 ? props.format(split) : '')),
      },
    ],
    series: [
      {},
      ...ordered.map((line): uPlot.Series => {
        const colour = colourOf(element, line.colour);
        return {
          label: line.label,
          stroke: colour,
          width: 1.5,
          // Opaque areas: each covers those that stand on it.
          fill: props.stacked
            ? mix(colour, surface, 0.5)
            : solid.length === 1
              ? mix(colour, surface, 0.14)
              : undefined,
          points: { show: false },
          spanGaps: false,
        };
      }),
      ...props.lines
        .filter((line) => line.dashed)
        .map(
          (line): uPlot.Series => ({
            label: line.label,
            stroke: colourOf(element, line.colour),
            width: 1.25,
            dash: [4, 4],
            points: { show: false },
          }),
        ),
    ],
    hooks: { setCursor: [(u) => onIndex(u.cursor.idx ?? null)] },
  };
}

function clockTime(time: number, locale: string): string {
  return new Intl.DateTimeFormat(locale, { timeStyle: 'medium', hourCycle: 'h23' }).format(time * 1000);
}

export function Chart(props: ChartProps) {
  const host = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [index, setIndex] = useState<number | null>(null);
  const shape = [
    props.lines.map((line) => `${line.label} ${line.colour} ${line.dashed}`).join('|'),
    props.repaint,
    props.scale,
    props.stacked,
    props.locale,
  ].join('#');
  const isEmpty = props.times.length < 2 || props.lines.length === 0;

  useLayoutEffect(() => {
    const element = host.current;
    if (!element || isEmpty) return;
    const made = new uPlot(optionsOf(element, props, element.clientWidth, setIndex), [[]], element);
    plot.current = made;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0 && element.clientWidth !== made.width) {
        made.setSize({ width: element.clientWidth, height: props.height });
      }
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape, isEmpty]);

  useEffect(() => {
    plot.current?.batch(() => {
      plot.current!.setData(dataOf(props), false);
      plot.current!.setScale('x', { min: props.from, max: props.to });
    });
  }, [shape, isEmpty, props.times, props.lines, props.from, props.to]);

  // By keyboard: through time, as with the pointer; what is there is said.
  const [spoken, setSpoken] = useState('');
  const step = (event: KeyboardEvent): void => {
    const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
    const last = props.times.length - 1;
    if (by === undefined || !plot.current || last < 0) return;
    event.preventDefault();
    const next = Math.min(last, Math.max(0, (index ?? last) + by));
    plot.current.setCursor({ left: plot.current.valToPos(props.times[next], 'x'), top: 0 });
    const values = props.lines.map((line) => `${line.label} ${props.format(line.values[next] ?? null)}`);
    setSpoken([clockTime(props.times[next], props.locale), ...values].join(', '));
  };
  const at = index !== null && index < props.times.length ? index : props.times.length - 1;
  return (
    <figure class="chart">
      <figcaption>
        <span class="chart-title">{props.title}</span>
        {index !== null && props.times[at] !== undefined && (
          <span class="chart-time">{clockTime(props.times[at], props.locale)}</span>
        )}
        <span class="chart-legend" aria-hidden="true">
          {props.lines.map((line) => (
            <span key={line.label}>
              <i class={`key ${line.dashed ? 'dashed' : ''}`} style={{ color: `var(${line.colour})` }} />
              <span class="label">{line.label}</span> <b>{props.format(line.values[at] ?? null)}</b>
            </span>
          ))}
        </span>
      </figcaption>
      <div
        class="plot"
        ref={host}
        tabIndex={isEmpty ? undefined : 0}
        onKeyDown={step}
        onBlur={() => plot.current?.setCursor({ left: -10, top: -10 })}
        role="img"
        aria-label={`${props.summary}. ${props.keysText}`}
        style={{ minHeight: `${props.height}px` }}
      >
        {isEmpty && <p class="plot-empty">{props.emptyText}</p>}
      </div>
      <p class="visually-hidden" role="status">
        {spoken}
      </p>
    </figure>
  );
}
