// Shares, memory and waits over time.
import { useEffect, useMemo, useState } from 'preact/hooks';
import { type HistoryAnswer, RANGES, type Range, askHistory } from '../api/history';
import { formatBytes, formatNanoseconds, formatPermille } from '../model/format';
import { joinLines, largestLines, type Lines } from '../model/series';
import { byTenant, lastSeconds, liveLines, type Metric, niceTop, wholeShare } from '../model/timeline';
import { Chart, type ChartLine } from './chart';
import { accents, useData, useSettings, useWords } from './context';
import { Choice, Section } from './parts';

const MOST_LINES = 9;
const NO_LINES: Lines = { times: [], lines: new Map() };

// The history of the period, asked for anew as it goes out of date; null until it is there.
function useHistory(range: Range, only: string | null): HistoryAnswer | null {
  const [answer, setAnswer] = useState<{ range: Range; answer: HistoryAnswer } | null>(null);
  const { t } = useWords();
  const { info } = useData();
  const keeps = info?.hasHistory ?? null;
  useEffect(() => {
    if (keeps !== true) return;
    let gone = false;
    const load = (): void => {
      if (document.hidden) return;
      void askHistory(range, only).then((got) => {
        if (!gone) setAnswer({ range, answer: got });
      });
    };
    load();
    const timer = setInterval(load, RANGES[range].refreshMs);
    return () => {
      gone = true;
      clearInterval(timer);
    };
  }, [range, only, keeps]);
  const none = useMemo(() => ({ lines: {}, problem: t.timeline.keepsNone }), [t]);
  if (keeps === false) return none;
  return answer?.range === range ? answer.answer : null;
}

function useLines(metric: Metric, range: Range, history: HistoryAnswer | null): Lines {
  const { live, slices, now } = useData();
  return useMemo(() => {
    const recent = liveLines(live[metric]);
    const before = history?.lines[metric] ?? NO_LINES;
    return lastSeconds(joinLines(before, recent), RANGES[range].seconds, now);
  }, [live, slices.at, metric, range, history]);
}

interface OneChart {
  metric: Metric;
  promised: Metric | null; // a dashed line of it where one tenant is shown
  title: string;
  stacked: boolean;
  format(value: number | null): string;
}

function TimelineChart(props: {
  chart: OneChart;
  range: Range;
  gpu: number | null;
  only: string | null;
  history: HistoryAnswer | null;
}) {
  const { t, locale } = useWords();
  const { theme, language } = useSettings();
  const { gpus, slices, now } = useData();
  const { chart, range, gpu, only } = props;
  const all = useLines(chart.metric, range, props.history);
  const promised = useLines(chart.promised ?? chart.metric, range, props.history);

  const lines = useMemo((): ChartLine[] => {
    const mine = byTenant(all, chart.metric, gpu, only);
    const { top, others } = largestLines(mine.lines, MOST_LINES);
    const shown = top.map(
      (name): ChartLine => ({
        label: name,
        values: mine.lines.get(name)!,
        colour: `--accent-${accents.slotOf(name)}`,
      }),
    );
    if (others && chart.stacked)
      shown.push({ label: t.timeline.others, values: others, colour: '--outside' });
    if (only !== null && chart.promised !== null) {
      const values = byTenant(promised, chart.promised, gpu, only).lines.get(only);
      const label = chart.promised === 'limit' ? t.timeline.limit : t.timeline.entitled;
      if (values?.some((value) => value !== null))
        shown.push({ label, values, colour: '--muted', dashed: true });
    }
    return shown;
  }, [all, promised, gpu, only, chart.metric, language]);

  // A page that has just been opened, of a daemon without a history: what there is fills the width.
  const first = all.times[0] ?? now;
  const start =
    now -
    (range === '5m' ? Math.min(RANGES[range].seconds, Math.max(60, now - first)) : RANGES[range].seconds);
  // The page's clock is a moment behind what has just come.
  const end = Math.max(now, all.times.at(-1) ?? now);
  const isShare = chart.metric === 'share';
  const parts = only === null ? null : slices.data?.slices.find((slice) => slice.name === only)?.parts.length;
  const whole = parts == null ? wholeShare(gpus.data, gpu) : Math.max(1, parts) * 1000;
  const last = all.times.length - 1;
  const spoken = lines.map((line) => `${line.label} ${chart.format(line.values[last] ?? null)}`).join(', ');
  return (
    <Chart
      title={chart.title}
      times={all.times}
      lines={lines}
      stacked={chart.stacked && only === null}
      top={(max) =>
        isShare
          ? (max ?? 0) > 1.02 * whole
            ? niceTop(chart.metric, max)
            : whole
          : niceTop(chart.metric, max)
      }
      scale={isShare ? String(whole) : ''}
      from={start}
      to={end}
      height={168}
      locale={locale}
      format={chart.format}
      summary={t.timeline.summary(chart.title, spoken)}
      emptyText={t.timeline.empty}
      keysText={t.timeline.keys}
      repaint={`${theme} ${language} ${matchMedia('(prefers-color-scheme: dark)').matches}`}
    />
  );
}

export function Timeline(props: { gpu?: number; only?: string }) {
  const { t, locale } = useWords();
  const { gpus } = useData();
  const [range, setRange] = useState<Range>('5m');
  const [chosen, setChosen] = useState<string>('all');
  const history = useHistory(range, props.only ?? null);
  const count = gpus.data?.gpus.length ?? 0;
  const gpu = props.gpu ?? (chosen === 'all' ? null : Number(chosen));
  const charts: OneChart[] = [
    {
      metric: 'share',
      promised: 'entitled',
      title: t.timeline.shares,
      stacked: true,
      format: (v) => formatPermille(v, locale, 0),
    },
    {
      metric: 'memory',
      promised: 'limit',
      title: t.timeline.memory,
      stacked: true,
      format: (v) => formatBytes(v, locale),
    },
    {
      metric: 'wait',
      promised: null,
      title: t.timeline.waits,
      stacked: false,
      format: (v) => formatNanoseconds(v, locale),
    },
  ];
  const ranges = (Object.keys(RANGES) as Range[]).map((one) => [one, t.timeline.ranges[one]] as const);
  return (
    <Section
      id="timeline"
      title={t.timeline.heading}
      aside={
        <div class="controls">
          {props.gpu === undefined && props.only === undefined && count > 1 && (
            <label class="select">
              {t.timeline.gpu}
              <select value={chosen} onChange={(event) => setChosen(event.currentTarget.value)}>
                <option value="all">{t.timeline.allGpus}</option>
                {gpus.data!.gpus.map((one) => (
                  <option key={one.index} value={String(one.index)}>
                    {one.index}
                  </option>
                ))}
              </select>
            </label>
          )}
          <Choice
            label={t.timeline.range}
            value={range}
            options={ranges}
            onChange={(next) => setRange(next)}
          />
        </div>
      }
    >
      {history?.problem && range !== '5m' && <p class="quiet">{t.timeline.noHistory(history.problem)}</p>}
      <div class="charts">
        {charts.map((chart) => (
          <TimelineChart
            key={chart.metric}
            chart={chart}
            range={range}
            gpu={gpu}
            only={props.only ?? null}
            history={history}
          />
        ))}
      </div>
    </Section>
  );
}
