// What happened on the node, latest first. Roles are said as in tenant_table.tsx.
import { useMemo, useState } from 'preact/hooks';
import { filterEvents } from '../api/events';
import type { NodeEvent } from '../api/types';
import { eventText } from '../model/sentences';
import { useData, useWords } from './context';
import { Empty, RouteLink, Section, TenantLink, When } from './parts';

const AT_ONCE = 100;

function Subject(props: { event: NodeEvent }) {
  const { t } = useWords();
  const { gpus } = useData();
  const { subject, kind } = props.event;
  if (subject === '') return <span class="quiet">{t.events.node}</span>;
  const gpu = gpus.data?.gpus.find((one) => one.uuid === subject);
  if (gpu) return <RouteLink to={{ page: 'gpu', index: gpu.index }}>{t.gpu.title(gpu.index)}</RouteLink>;
  if (kind.startsWith('gpu_')) return <span class="mono">{subject}</span>;
  return <TenantLink name={subject} />;
}

function EventRow(props: { event: NodeEvent }) {
  const { t, locale } = useWords();
  const { event } = props;
  return (
    <tr role="row" class={event.severity}>
      <td role="cell" class="event-time">
        <When time={event.time} />
      </td>
      <td role="cell" class="event-kind">
        <i class={`dot ${event.severity}`} aria-hidden="true" />
        {event.severity !== 'info' && (
          <span class="visually-hidden">{`${t.severity[event.severity]}: `}</span>
        )}
        {t.events.kinds[event.kind] ?? event.kind.replaceAll('_', ' ')}
      </td>
      <td role="cell" class="event-subject">
        <Subject event={event} />
      </td>
      <td role="cell" class="event-text">
        {eventText(event, t, locale)}
      </td>
    </tr>
  );
}

// Of tenant `only` or GPU `gpu` or everybody; with `most`, the latest of them and a way to the rest.
export function EventTable(props: { only?: string; gpu?: number; most?: number }) {
  const { t, locale } = useWords();
  const { events, gpus } = useData();
  const [filter, setFilter] = useState('');
  const [shown, setShown] = useState(AT_ONCE);
  const uuid =
    props.gpu === undefined ? undefined : gpus.data?.gpus.find((one) => one.index === props.gpu)?.uuid;
  const subject = props.only ?? uuid;
  const found = useMemo(
    () =>
      filterEvents(
        events.data ?? [],
        subject === undefined ? null : { subject, gpu: props.gpu },
        filter,
        (event) => `${t.events.kinds[event.kind] ?? ''} ${eventText(event, t, locale)}`,
      ),
    [events.data, subject, props.gpu, filter, t, locale],
  );
  const rows = found.slice(0, props.most ?? shown);
  const aside =
    props.most === undefined ? (
      <input
        type="search"
        value={filter}
        placeholder={t.events.filterHint}
        aria-label={t.events.filter}
        onInput={(event) => setFilter(event.currentTarget.value)}
      />
    ) : (
      <RouteLink to={{ page: 'events' }} class="more">
        {t.events.all}
      </RouteLink>
    );
  return (
    <Section id="events" title={t.events.heading} aside={aside}>
      {events.data === null && events.error?.kind === 'absent' && <Empty title={t.events.absent} />}
      {events.data !== null && found.length === 0 && filter === '' && (
        <Empty title={t.events.none} hint={t.events.noneHint} />
      )}
      {filter !== '' && found.length === 0 && <Empty title={t.tenants.noMatch(filter)} />}
      {rows.length > 0 && (
        <table class="events" role="table">
          <caption class="visually-hidden">{t.events.caption}</caption>
          <thead role="rowgroup">
            <tr role="row">
              <th role="columnheader" scope="col">
                {t.events.time}
              </th>
              <th role="columnheader" scope="col">
                {t.events.kind}
              </th>
              <th role="columnheader" scope="col">
                {t.events.subject}
              </th>
              <th role="columnheader" scope="col">
                {t.events.what}
              </th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            {rows.map((event) => (
              <EventRow key={event.number} event={event} />
            ))}
          </tbody>
        </table>
      )}
      {props.most === undefined && found.length > rows.length && (
        <button type="button" class="more" onClick={() => setShown(shown + AT_ONCE)}>
          {t.events.more(found.length - rows.length)}
        </button>
      )}
    </Section>
  );
}
