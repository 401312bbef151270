// The node in one line of figures.
import type { ComponentChildren } from 'preact';
import { isFiring } from '../model/alerts';
import { formatBytes, formatNanoseconds, formatPermille, NONE } from '../model/format';
import { summarize } from '../model/summary';
import { useData, useWords } from './context';
import { Meter, TenantLink } from './parts';

function Stat(props: {
  label: string;
  value: ComponentChildren;
  note: ComponentChildren;
  fraction?: number;
  tone?: string;
}) {
  return (
    <div class={`stat ${props.tone ?? ''}`}>
      <dt>{props.label}</dt>
      <dd>
        <span class="value">{props.value}</span>
        <span class="stat-note">{props.note}</span>
        {props.fraction !== undefined && <Meter fraction={props.fraction} tone="neutral" />}
      </dd>
    </div>
  );
}

export function Summary() {
  const { t, locale } = useWords();
  const { gpus, slices, alerts } = useData();
  const s = summarize(gpus.data, slices.data);
  const firing = (alerts.data?.alerts ?? []).filter(isFiring);
  const words = t.summary;
  return (
    <dl class="summary" aria-label={words.label}>
      <Stat
        label={words.gpus}
        value={gpus.data ? s.gpus : NONE}
        note={gpus.data && s.gpus > 0 ? words.gpusOk(s.gpusOk, s.gpus) : ''}
        tone={s.gpusOk < s.gpus ? 'bad' : ''}
      />
      <Stat
        label={words.tenants}
        value={slices.data ? s.tenants : NONE}
        note={words.processes(s.processes)}
      />
      <Stat
        label={words.memory}
        value={formatBytes(gpus.data && s.usedBytes, locale)}
        note={words.of(formatBytes(s.totalBytes, locale))}
        fraction={s.totalBytes > 0 ? s.usedBytes / s.totalBytes : 0}
      />
      <Stat
        label={words.compute}
        value={formatPermille(slices.data && s.busyPermille, locale)}
        note={words.computeOf(s.gpus)}
        fraction={s.busyPermille / 1000}
      />
      <Stat
        label={words.wait}
        value={formatNanoseconds(s.longestWait?.ns ?? null, locale)}
        note={s.longestWait ? <TenantLink name={s.longestWait.name} /> : words.nobodyWaits}
      />
      <Stat
        label={words.alerts}
        value={alerts.data ? firing.length : NONE}
        note={firing.length > 0 ? words.firing : alerts.data?.rules ? words.noAlerts : words.noRules}
        tone={firing.some((alert) => alert.severity === 'critical') ? 'bad' : firing.length > 0 ? 'warn' : ''}
      />
    </dl>
  );
}
