// One tenant: what it was promised, what it has, its processes and what happened to it.
import type { ComponentChildren } from 'preact';
import type { Part, Slice } from '../api/types';
import {
  formatBytes,
  formatCount,
  formatDuration,
  formatNanoseconds,
  formatPermille,
  NONE,
} from '../model/format';
import { useData, useWords } from './context';
import { EventTable } from './events';
import { Empty, RouteLink, Section, Swatch } from './parts';
import { ComputeCell, Flags, MemoryCell } from './tenant_table';
import { Timeline } from './timeline';

function Facts(props: { facts: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {props.facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function PartCard(props: { slice: Slice; part: Part; gpuBytes: number }) {
  const { t, locale } = useWords();
  const { slice, part } = props;
  const { compute } = part;
  const words = t.tenant;
  const facts: [string, ComponentChildren][] = [
    [words.peak, formatBytes(part.peakBytes, locale)],
    [words.entitled, formatPermille(part.entitledPermille, locale)],
    [
      part.lentPermille < 0 ? words.borrowed : words.lent,
      formatPermille(Math.abs(part.lentPermille), locale),
    ],
    [words.wait, formatNanoseconds(part.waitP99Ns, locale)],
    [words.waitTarget, compute.sloP99Ns > 0 ? formatNanoseconds(compute.sloP99Ns, locale) : NONE],
    [words.qos, part.qosClass || NONE],
    [words.priority, compute.priority || NONE],
    [words.weight, formatCount(compute.weight, locale)],
    [words.mode, part.sms ? `${words.modes.space} (${words.sms} ${part.sms})` : words.modes.time],
    [words.launches, formatCount(part.launches, locale)],
    [words.gpuTime, formatDuration(part.gpuSeconds, locale)],
    [words.refusals, formatCount(part.refusals, locale)],
  ];
  const counted = [
    [words.toDevice, part.bytesToDevice, formatBytes],
    [words.fromDevice, part.bytesFromDevice, formatBytes],
    [words.onDevice, part.bytesOnDevice, formatBytes],
    [words.turnWait, part.turnWaitNs, formatNanoseconds],
    [words.errors, part.errors, formatCount],
    [words.faults, part.faults, formatCount],
  ] as const;
  if (part.runs !== null) {
    facts.push([words.runMean, formatNanoseconds(part.runs.meanNs, locale)]);
    const p99 = part.runs.p99Ns;
    facts.push([words.runP99, p99 === null ? '> 1 s' : `≤ ${formatNanoseconds(p99, locale)}`]);
  }
  for (const [name, value, format] of counted) {
    if (value !== null) facts.push([name, format(value, locale)]);
  }
  if (part.driverBytes !== null) facts.splice(1, 0, [words.byDriver, formatBytes(part.driverBytes, locale)]);
  if (part.residentBytes !== null)
    facts.splice(1, 0, [words.resident, formatBytes(part.residentBytes, locale)]);
  return (
    <article class="card">
      <h3>
        <RouteLink to={{ page: 'gpu', index: part.gpu }}>{words.onGpu(part.gpu)}</RouteLink>
      </h3>
      <div class="bars">
        <div>
          <span class="label">{words.memory}</span>
          <MemoryCell part={part} name={slice.name} gpuBytes={props.gpuBytes} />
        </div>
        <div>
          <span class="label">
            {words.share}
            {compute.capped && ` (${t.tenants.capped})`}
          </span>
          <ComputeCell part={part} name={slice.name} />
        </div>
      </div>
      <Facts facts={facts} />
    </article>
  );
}

function Processes(props: { slice: Slice }) {
  const { t, locale } = useWords();
  const { slice } = props;
  if (slice.processes.length === 0) return <p class="quiet">{t.tenant.none}</p>;
  return (
    <table class="plain">
      <thead>
        <tr>
          <th scope="col">{t.tenant.pid}</th>
          <th scope="col" class="figure">
            {t.tenant.running}
          </th>
          <th scope="col" class="figure">
            {t.tenant.used}
          </th>
        </tr>
      </thead>
      <tbody>
        {slice.processes.map((process) => (
          <tr key={process.pid}>
            <th scope="row" class="mono">
              {process.pid}
            </th>
            <td class="figure">{formatDuration(process.ageSeconds, locale)}</td>
            <td class="figure">
              {formatBytes(
                process.usedBytes.reduce((a, b) => a + b, 0),
                locale,
              )}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function TenantPage(props: { name: string }) {
  const { t, locale } = useWords();
  const { slices, gpus } = useData();
  if (slices.data === null) return null;
  const slice = slices.data.slices.find((one) => one.name === props.name);
  if (!slice) {
    return (
      <>
        <Empty title={t.tenant.gone(props.name)} hint={t.tenant.goneHint} />
        <EventTable only={props.name} />
      </>
    );
  }
  const bytesOf = (part: Part): number =>
    gpus.data?.gpus.find((gpu) => gpu.index === part.gpu)?.totalBytes ?? part.limitBytes;
  return (
    <>
      <div class="page-head">
        <h1>
          <Swatch name={slice.name} />
          {slice.name}
        </h1>
        <Flags slice={slice} part={slice.parts[0] ?? null} />
        <span class="quiet">
          {t.tenant.age(formatDuration(slice.ageSeconds, locale))} · {t.tenant.started(slice.processesEver)}
        </span>
      </div>
      <Section id="limits" title={t.tenant.limits}>
        <div class="cards">
          {slice.parts.map((part) => (
            <PartCard key={part.gpu} slice={slice} part={part} gpuBytes={bytesOf(part)} />
          ))}
        </div>
        <p class="quiet">{t.tenant.selfReported}</p>
        <p class="quiet">
          {t.tenant.change} <code class="command">tessera set {slice.name} --mem 2GiB --sm 50</code>
        </p>
      </Section>
      <Timeline only={slice.name} />
      <div class="columns">
        <Section id="processes" title={t.tenant.processes}>
          <Processes slice={slice} />
        </Section>
        <EventTable only={slice.name} most={20} />
      </div>
    </>
  );
}
