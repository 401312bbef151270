// Alerts in the order in which one wants to read them.
import type { Alert, AlertState, Severity } from '../api/types';

const STATES: Record<AlertState, number> = { firing: 0, pending: 1, resolved: 2 };
const SEVERITIES: Record<Severity, number> = { critical: 0, warning: 1, info: 2 };

// Firing first, then by severity, then the latest.
export function sortAlerts(alerts: readonly Alert[]): Alert[] {
  return [...alerts].sort(
    (a, b) =>
      STATES[a.state] - STATES[b.state] ||
      SEVERITIES[a.severity] - SEVERITIES[b.severity] ||
      (b.since ?? 0) - (a.since ?? 0) ||
      a.rule.localeCompare(b.rule),
  );
}

export const isFiring = (alert: Alert): boolean => alert.state === 'firing';

// Its summary without its rule and whom it is of, which stand before it already.
export function summaryOf(alert: Alert): string {
  const { slice, gpu } = alert.labels;
  const onGpu = gpu === undefined ? '' : ` on GPU ${gpu}`;
  const whom =
    slice !== undefined ? `slice '${slice}'${onGpu}: ` : gpu !== undefined ? `GPU ${gpu}: ` : 'the node: ';
  return [`${alert.rule}: `, whom].reduce(
    (text, prefix) => (text.startsWith(prefix) ? text.slice(prefix.length) : text),
    alert.summary,
  );
}

// One alert among others: its rule and what it is of.
export function alertKey(alert: Alert): string {
  const labels = Object.entries(alert.labels).map(([name, value]) => `${name}=${value}`);
  return [alert.rule, ...labels.sort()].join(' ');
}
