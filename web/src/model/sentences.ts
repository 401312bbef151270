// What events and alerts say, in the language of the page: from their data, or the daemon's own English where an older
// daemon tells none.
import type { Alert, Details, NodeEvent } from '../api/types';
import type { Messages } from '../i18n';
import { formatBytes, formatCount, formatNanoseconds, formatPermille } from './format';

const COUNTED = /_total$/;

// A figure of the daemon as people read it.
export function figureText(metric: string, value: number, isPart: boolean, locale: string): string {
  if (isPart || metric.endsWith('_ratio')) return formatPermille(value * 1000, locale);
  if (metric.includes('_bytes')) return formatBytes(value, locale);
  if (metric.endsWith('_seconds') && !COUNTED.test(metric)) return formatNanoseconds(value * 1e9, locale);
  if (metric.endsWith('_celsius')) return `${formatCount(value, locale)} °C`;
  if (metric.endsWith('_watts')) return `${formatCount(value, locale)} W`;
  return Number.isInteger(value)
    ? formatCount(value, locale)
    : value.toLocaleString(locale, { maximumSignificantDigits: 3 });
}

export interface Judged {
  metric: string;
  of: string;
  isRate: boolean;
  isAbsence: boolean;
  isOver: boolean; // it is no longer so
  value: number | null;
  note: string;
}

export function judgedText(judged: Judged, t: Messages, locale: string): string {
  const words = t.alerts.says;
  const name = (metric: string) => t.figures[metric] ?? metric;
  const figure = judged.isRate ? words.aSecond(name(judged.metric)) : name(judged.metric);
  let told = judged.isAbsence ? words.told(figure) : words.inBounds(figure);
  if (!judged.isOver) {
    told =
      judged.value === null
        ? words.notTold(figure)
        : words.is(
            figure,
            figureText(judged.metric, judged.value, judged.of !== '', locale),
            judged.of === '' ? '' : name(judged.of),
          );
  }
  // What is to be done, or may happen, where it is so.
  return judged.note === '' || judged.isOver ? told : words.withNote(told, judged.note);
}

export function alertText(alert: Alert, t: Messages, locale: string): string {
  if (alert.metric === '') return alert.summary;
  return judgedText({ ...alert, isOver: alert.state === 'resolved' }, t, locale);
}

const text = (value: Details[string] | undefined): string => (value === undefined ? '' : String(value));

export function eventText(event: NodeEvent, t: Messages, locale: string): string {
  const { details, kind } = event;
  if (details === null) return event.text;
  if (kind === 'alert_fired' || kind === 'alert_resolved') {
    const judged = judgedText(
      {
        metric: text(details.metric),
        of: text(details.of),
        isRate: details.is_rate === 1,
        isAbsence: details.is_absence === 1,
        isOver: kind === 'alert_resolved',
        value: details.value === undefined ? null : Number(details.value),
        note: text(details.note),
      },
      t,
      locale,
    );
    const where = details.gpu === undefined ? '' : ` (${t.gpu.title(Number(details.gpu))})`;
    return `${text(details.rule)}${where}${t.alerts.says.colon}${judged}`;
  }
  return t.events.says[kind]?.(details, (bytes) => formatBytes(Number(bytes), locale)) ?? event.text;
}
