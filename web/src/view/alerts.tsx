// What is wrong now, by the rules that the daemon was given.
import type { Alert } from '../api/types';
import { alertKey, isFiring, sortAlerts, summaryOf } from '../model/alerts';
import { alertText } from '../model/sentences';
import { useData, useWords } from './context';
import { Empty, Pill, RouteLink, Section, TenantLink, When } from './parts';

function Where(props: { labels: Record<string, string> }) {
  const { t } = useWords();
  const { slice, gpu, ...others } = props.labels;
  return (
    <span class="where">
      {slice !== undefined && <TenantLink name={slice} />}
      {gpu !== undefined && /^\d{1,4}$/.test(gpu) && (
        <RouteLink to={{ page: 'gpu', index: Number(gpu) }}>{t.gpu.title(Number(gpu))}</RouteLink>
      )}
      {Object.entries(others)
        .filter(([name]) => name !== 'uuid' && name !== 'model')
        .map(([name, value]) => (
          <span key={name}>{`${name} ${value}`}</span>
        ))}
    </span>
  );
}

function AlertRow(props: { alert: Alert }) {
  const { t, locale } = useWords();
  const { alert } = props;
  const tone =
    alert.state === 'resolved'
      ? 'quiet'
      : alert.severity === 'critical'
        ? 'bad'
        : alert.severity === 'warning'
          ? 'warn'
          : 'quiet';
  const time = alert.state === 'resolved' ? alert.resolved : alert.since;
  return (
    <li class={`alert ${alert.state} ${alert.severity}`}>
      <Pill tone={tone}>
        {t.alerts.state[alert.state]}
        <span class="visually-hidden">{`, ${t.severity[alert.severity]}`}</span>
      </Pill>
      <div>
        <p class="alert-rule">
          <b>{alert.rule}</b> <Where labels={alert.labels} />
        </p>
        {alert.summary && (
          <p class="alert-summary">{alert.metric === '' ? summaryOf(alert) : alertText(alert, t, locale)}</p>
        )}
      </div>
      {time !== null && (
        <span class="alert-time">
          <When time={time} />
        </span>
      )}
    </li>
  );
}

export function AlertList(props: { most?: number }) {
  const { t } = useWords();
  const { alerts } = useData();
  const { data, error } = alerts;
  const all = sortAlerts(data?.alerts ?? []);
  const shown = all.slice(0, props.most ?? all.length);
  const firing = all.filter(isFiring).length;
  const aside =
    props.most === undefined ? undefined : (
      <RouteLink to={{ page: 'alerts' }} class="more">
        {t.alerts.all}
      </RouteLink>
    );
  return (
    <Section id="alerts" title={t.alerts.heading} aside={aside}>
      {data === null && error?.kind === 'absent' && <Empty title={t.alerts.absent} />}
      {data !== null && data.rules === 0 && all.length === 0 && (
        <Empty title={t.alerts.noRules} hint={t.alerts.noRulesHint} />
      )}
      {data !== null && data.rules > 0 && firing === 0 && (
        <Empty title={t.alerts.none} hint={all.length === 0 ? t.alerts.noneHint : undefined} />
      )}
      {shown.length > 0 && (
        <ul class="alerts" aria-label={t.alerts.caption}>
          {shown.map((alert) => (
            <AlertRow key={alertKey(alert)} alert={alert} />
          ))}
        </ul>
      )}
    </Section>
  );
}
