// A GPU as a tile: its memory and its compute as mosaics of what its tenants have.
import type { Gpu, Slices } from '../api/types';
import { formatBytes, formatPermille, NONE } from '../model/format';
import { tenantsOf, type GpuTenant } from '../model/gpu_tenants';
import { cellsPath, mosaic, type MosaicPart } from '../model/mosaic';
import { accentClass, useHighlight, useWords } from './context';
import { Pill, RouteLink, Swatch, TenantLink } from './parts';

const COLUMNS = 50;
const ROWS = 4;
const GAP = 0.14;
const MOST_TENANTS = 5;

interface MosaicProps {
  parts: MosaicPart[];
  outside: number;
  total: number;
  label: string;
}

function Mosaic(props: MosaicProps) {
  const highlight = useHighlight();
  const cells = COLUMNS * ROWS;
  const all = [...props.parts, { key: '', solid: props.outside, reserved: 0 }];
  const bands = mosaic(all, props.total, cells);
  let next = 0;
  const take = (count: number): string => {
    const path = cellsPath(next, count, ROWS, GAP);
    next += count;
    return path;
  };
  const shapes = bands.map((band, i) => {
    const isOutside = i === all.length - 1;
    const dimmed = highlight.name !== null && highlight.name !== band.key ? 'dimmed' : '';
    return (
      <g
        key={isOutside ? 'outside' : `t-${band.key}`}
        class={`${isOutside ? 'outside' : accentClass(band.key)} ${dimmed}`}
      >
        {band.solid > 0 && <path class="solid" d={take(band.solid)} />}
        {band.tinted > 0 && <path class="tinted" d={take(band.tinted)} />}
      </g>
    );
  });
  return (
    <svg class="mosaic" viewBox={`0 0 ${COLUMNS} ${ROWS}`} role="img" aria-label={props.label}>
      {shapes}
      <path class="free" d={cellsPath(next, cells - next, ROWS, GAP)} />
    </svg>
  );
}

function TenantLines(props: { tenants: GpuTenant[]; most: number; gpu: number }) {
  const { t, locale } = useWords();
  const highlight = useHighlight();
  const shown = props.tenants.slice(0, props.most);
  const more = props.tenants.length - shown.length;
  if (shown.length === 0) return <p class="quiet tile-none">{t.gpu.free}</p>;
  return (
    <table class="tile-tenants">
      <caption class="visually-hidden">{`${t.gpu.title(props.gpu)}: ${t.tenants.caption}`}</caption>
      <colgroup>
        <col />
        <col class="of-memory" />
        <col class="of-compute" />
      </colgroup>
      <thead>
        <tr>
          <th scope="col">{t.gpu.tenant}</th>
          <th scope="col" class="figure">
            {t.gpu.memory}
          </th>
          <th scope="col" class="figure">
            {t.gpu.compute}
          </th>
        </tr>
      </thead>
      <tbody>
        {shown.map(({ name, part }) => (
          <tr key={name} class={highlight.name !== null && highlight.name !== name ? 'dimmed' : ''}>
            <th scope="row">
              <TenantLink name={name} />
            </th>
            <td class="figure">
              {formatBytes(part.usedBytes, locale)}
              <span class="of"> / {part.reserved ? formatBytes(part.limitBytes, locale) : NONE}</span>
            </td>
            <td class="figure">
              {formatPermille(part.achievedPermille, locale)}
              <span class="of"> / {formatPermille(part.entitledPermille, locale, 0)}</span>
            </td>
          </tr>
        ))}
      </tbody>
      {more > 0 && (
        <tfoot>
          <tr>
            <td colSpan={3}>
              <RouteLink to={{ page: 'gpu', index: props.gpu }}>{t.gpu.others(more)}</RouteLink>
            </td>
          </tr>
        </tfoot>
      )}
    </table>
  );
}

export function GpuState(props: { gpu: Gpu }) {
  const { t } = useWords();
  const { state, problem } = props.gpu;
  return (
    <Pill tone={state === 'ok' ? 'ok' : 'bad'} title={problem || undefined}>
      {t.gpu.state[state]}
    </Pill>
  );
}

export function GpuTile(props: { gpu: Gpu; slices: Slices | null; whole?: boolean }) {
  const { t, locale } = useWords();
  const { gpu, slices } = props;
  const { tenants, outsideBytes, outsidePermille, usedPermille } = tenantsOf(gpu, slices);
  const memory = tenants.map(({ name, part }) => ({
    key: name,
    solid: part.residentBytes ?? part.usedBytes,
    reserved: part.reserved ? Math.max(0, part.limitBytes - (part.residentBytes ?? part.usedBytes)) : 0,
  }));
  const compute = tenants.map(({ name, part }) => ({
    key: name,
    solid: part.achievedPermille,
    reserved: Math.max(0, part.entitledPermille - part.achievedPermille),
  }));
  const spoken = (texts: string[]): string => texts.join(', ') || t.gpu.nothing;
  const title = t.gpu.title(gpu.index);
  return (
    <article class={`tile ${gpu.state === 'ok' ? '' : 'ill'}`} aria-label={`${title}: ${gpu.name}`}>
      {!props.whole && (
        <header>
          <h3>
            <RouteLink to={{ page: 'gpu', index: gpu.index }}>{title}</RouteLink>
          </h3>
          <span class="model" title={gpu.name}>
            {gpu.name}
          </span>
          {gpu.smCount !== null && <span class="model fixed">{t.gpu.sms(gpu.smCount)}</span>}
          <GpuState gpu={gpu} />
        </header>
      )}
      {gpu.problem && <p class="problem">{gpu.problem}</p>}
      <div class="mosaics">
        <div>
          <div class="tile-figure">
            <span>{t.gpu.memory}</span>
            <span class="figure">
              {formatBytes(gpu.usedBytes, locale)}{' '}
              <span class="of">/ {formatBytes(gpu.totalBytes, locale)}</span>
            </span>
          </div>
          <Mosaic
            parts={memory}
            outside={outsideBytes}
            total={gpu.totalBytes}
            label={t.gpu.mosaicMemory(
              spoken(tenants.map(({ name, part }) => `${name} ${formatBytes(part.usedBytes, locale)}`)),
            )}
          />
        </div>
        <div>
          <div class="tile-figure">
            <span>{t.gpu.compute}</span>
            <span class="figure">{formatPermille(usedPermille, locale)}</span>
          </div>
          <Mosaic
            parts={compute}
            outside={outsidePermille}
            total={1000}
            label={t.gpu.mosaicCompute(
              spoken(
                tenants.map(({ name, part }) => `${name} ${formatPermille(part.achievedPermille, locale)}`),
              ),
            )}
          />
        </div>
      </div>
      <TenantLines tenants={tenants} most={props.whole ? Infinity : MOST_TENANTS} gpu={gpu.index} />
      {(outsideBytes > 0 || outsidePermille > 0) && (
        <p class="quiet outside-line">
          <Swatch name={null} />
          {t.gpu.outside}: {formatBytes(outsideBytes, locale)}
          {outsidePermille > 0 && `, ${formatPermille(outsidePermille, locale, 0)}`}
        </p>
      )}
    </article>
  );
}
