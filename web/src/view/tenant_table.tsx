// Tenants with their limits and what they use: sorted by any column, filtered by words. Roles are said in so many
// words, as on a phone the parts of the table are blocks, which have none.
import type { ComponentChildren } from 'preact';
import { useMemo, useState } from 'preact/hooks';
import type { Part, Slice } from '../api/types';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatNanoseconds,
  formatPermille,
  NONE,
} from '../model/format';
import { filterRows, nextSort, type Row, rowsOf, type Sort, type SortKey, sortRows } from '../model/rows';
import { accentClass, useData, useHighlight, useWords } from './context';
import { Empty, Meter, Pill, RouteLink, Section, TenantLink } from './parts';

const COLUMNS: readonly SortKey[] = [
  'name',
  'gpu',
  'memory',
  'compute',
  'wait',
  'refusals',
  'gpuTime',
  'age',
];
const FULL = 0.97;
const AT_ONCE = 200;

export function Flags(props: { slice: Slice; part: Part | null }) {
  const { t } = useWords();
  const { slice, part } = props;
  const flags = t.tenants.flags;
  return (
    <>
      {part?.reserved && part.usedBytes >= FULL * part.limitBytes && <Pill tone="warn">{flags.full}</Pill>}
      {part?.thrashing && <Pill tone="warn">{flags.thrashing}</Pill>}
      {part?.fault != null && <Pill tone="bad">{flags.fault}</Pill>}
      {slice.isolated && <Pill tone="warn">{flags.isolated}</Pill>}
      {slice.confined && <Pill tone="bad">{flags.confined}</Pill>}
      {slice.roundTheGate > 0 && !slice.confined && <Pill tone="warn">{flags.round}</Pill>}
      {slice.processes.length === 0 && <Pill tone="quiet">{flags.idle}</Pill>}
    </>
  );
}

export function Lending(props: { permille: number }) {
  const { t, locale } = useWords();
  // What nobody would see on the bar is not worth a word.
  if (Math.abs(props.permille) < 5) return null;
  const share = formatPermille(Math.abs(props.permille), locale, 0);
  return <span class="note">{props.permille > 0 ? t.tenants.lent(share) : t.tenants.borrowed(share)}</span>;
}

export function MemoryCell(props: { part: Part; name: string; gpuBytes: number }) {
  const { t, locale } = useWords();
  const { part } = props;
  const whole = Math.max(1, part.reserved ? part.limitBytes : props.gpuBytes);
  return (
    <>
      <span class="amount">
        {formatBytes(part.usedBytes, locale)}
        <span class="of"> / {part.reserved ? formatBytes(part.limitBytes, locale) : t.tenants.noLimit}</span>
      </span>
      <Meter fraction={part.usedBytes / whole} mark={part.peakBytes / whole} tone={accentClass(props.name)} />
    </>
  );
}

export function ComputeCell(props: { part: Part; name: string }) {
  const { locale } = useWords();
  const { part } = props;
  return (
    <>
      <span class="amount">
        {formatPermille(part.achievedPermille, locale)}
        <span class="of"> / {formatPermille(part.entitledPermille, locale, 0)}</span>
        <Lending permille={part.lentPermille} />
      </span>
      <Meter
        fraction={part.achievedPermille / 1000}
        mark={part.entitledPermille / 1000}
        tone={accentClass(props.name)}
      />
    </>
  );
}

function TenantRow(props: { row: Row; gpuBytes: number }) {
  const { t, locale } = useWords();
  const highlight = useHighlight();
  const { slice, part } = props.row;
  const columns = t.tenants.columns;
  const cell = (key: SortKey, content: ComponentChildren, kind = 'figure') => (
    <td role="cell" class={`${kind} col-${key}`} data-label={columns[key]}>
      {content}
    </td>
  );
  return (
    <tr
      role="row"
      data-tenant={slice.name}
      class={highlight.name === slice.name ? 'highlit' : ''}
      onMouseEnter={() => highlight.set(slice.name)}
      onMouseLeave={() => highlight.set(null)}
    >
      <th role="rowheader" scope="row" class="col-name">
        <TenantLink name={slice.name} />
        <Flags slice={slice} part={part} />
      </th>
      {cell('gpu', part ? <RouteLink to={{ page: 'gpu', index: part.gpu }}>{part.gpu}</RouteLink> : NONE)}
      {cell(
        'memory',
        part ? <MemoryCell part={part} name={slice.name} gpuBytes={props.gpuBytes} /> : NONE,
        'bar',
      )}
      {cell('compute', part ? <ComputeCell part={part} name={slice.name} /> : NONE, 'bar')}
      {cell('wait', formatNanoseconds(part?.waitP99Ns ?? null, locale))}
      {cell(
        'refusals',
        part ? formatCount(part.refusals, locale) : NONE,
        part && part.refusals > 0 ? 'figure some' : 'figure',
      )}
      {cell('gpuTime', part ? formatDuration(part.gpuSeconds, locale) : NONE)}
      {cell('age', formatDuration(slice.ageSeconds, locale))}
    </tr>
  );
}

function Head(props: { column: SortKey; sort: Sort; onSort(sort: Sort): void }) {
  const { t } = useWords();
  const { column, sort } = props;
  const isSorted = sort.key === column;
  const kind = column === 'name' || column === 'memory' || column === 'compute' ? '' : 'figure';
  return (
    <th
      role="columnheader"
      scope="col"
      class={`${kind} col-${column}`}
      aria-sort={isSorted ? (sort.descending ? 'descending' : 'ascending') : undefined}
    >
      <button type="button" onClick={() => props.onSort(nextSort(sort, column))}>
        {t.tenants.columns[column]}
        <span aria-hidden="true" class="arrow">
          {isSorted ? (sort.descending ? '↓' : '↑') : ''}
        </span>
      </button>
    </th>
  );
}

// Programs that keep failing, with a slice or waiting for one.
function FailingTenants() {
  const { t, locale } = useWords();
  const { slices } = useData();
  const failing = slices.data?.failing ?? [];
  if (failing.length === 0) return null;
  return (
    <ul class="failing">
      {failing.map((tenant) => (
        <li key={tenant.name}>
          <Pill tone="bad">{t.tenants.flags.fault}</Pill> {t.tenants.failing(tenant.name, tenant.faults)}
          {tenant.isolated && ` ${t.tenants.runsAlone}`}
          {tenant.waitsSeconds > 0 &&
            ` ${t.tenants.waitsFor(formatDuration(tenant.waitsSeconds, locale))}`}{' '}
          <code class="command">tessera ps --forgive {tenant.name}</code>
        </li>
      ))}
    </ul>
  );
}

// Of GPU `gpu` or of all; with `most`, the first of them and a way to the rest.
export function TenantTable(props: { gpu?: number; most?: number }) {
  const { t } = useWords();
  const { slices, gpus } = useData();
  const [filter, setFilter] = useState('');
  const [shown, setShown] = useState(AT_ONCE);
  const [sort, setSort] = useState<Sort>({ key: 'name', descending: false });
  const all = useMemo(() => {
    const rows = rowsOf(slices.data?.slices ?? []);
    return props.gpu === undefined ? rows : rows.filter((row) => row.part?.gpu === props.gpu);
  }, [slices.data, props.gpu]);
  const found = useMemo(() => sortRows(filterRows(all, filter), sort), [all, filter, sort]);
  const rows = found.slice(0, props.most ?? shown);
  const bytesOf = (row: Row): number =>
    gpus.data?.gpus.find((gpu) => gpu.index === row.part?.gpu)?.totalBytes ?? row.part?.limitBytes ?? 1;
  const search = (
    <input
      type="search"
      value={filter}
      placeholder={t.tenants.filterHint}
      aria-label={t.tenants.filter}
      onInput={(event) => setFilter(event.currentTarget.value)}
    />
  );
  return (
    <Section id="tenants" title={t.tenants.heading} aside={all.length > 0 && search}>
      {slices.data !== null && all.length === 0 && (
        <Empty title={t.tenants.none} hint={t.tenants.noneHint} command={t.tenants.noneCommand} />
      )}
      {all.length > 0 && rows.length === 0 && (
        <Empty title={t.tenants.noMatch(filter)}>
          <button type="button" onClick={() => setFilter('')}>
            {t.tenants.clear}
          </button>
        </Empty>
      )}
      {rows.length > 0 && (
        <table class="tenants" role="table">
          <caption class="visually-hidden">{t.tenants.caption}</caption>
          <thead role="rowgroup">
            <tr role="row">
              {COLUMNS.map((column) => (
                <Head key={column} column={column} sort={sort} onSort={setSort} />
              ))}
            </tr>
          </thead>
          <tbody role="rowgroup">
            {rows.map((row) => (
              <TenantRow key={row.key} row={row} gpuBytes={bytesOf(row)} />
            ))}
          </tbody>
        </table>
      )}
      {found.length > rows.length && props.most !== undefined && (
        <RouteLink to={{ page: 'tenants' }} class="more below">
          {t.tenants.all(all.length)}
        </RouteLink>
      )}
      {found.length > rows.length && props.most === undefined && (
        <button type="button" class="more below" onClick={() => setShown(shown + AT_ONCE)}>
          {t.events.more(found.length - rows.length)}
        </button>
      )}
      {props.gpu === undefined && <FailingTenants />}
    </Section>
  );
}
