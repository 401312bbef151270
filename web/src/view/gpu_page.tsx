// One GPU: its tile with every tenant, and over time.
import type { Gpu } from '../api/types';
import { formatBytes, formatCount, NONE } from '../model/format';
import { useData, useWords } from './context';
import { EventTable } from './events';
import { GpuState, GpuTile } from './gpu_tile';
import { Empty } from './parts';
import { TenantTable } from './tenant_table';
import { Timeline } from './timeline';

// What the card's driver tells of it, as far as it does.
function Sensors(props: { gpu: Gpu }) {
  const { t, locale } = useWords();
  const { gpu } = props;
  const told = (
    [
      [t.gpu.temperature, gpu.temperatureCelsius, '°C'],
      [t.gpu.power, gpu.powerWatts, 'W'],
      [t.gpu.smClock, gpu.smClockMhz, 'MHz'],
      [t.gpu.memoryClock, gpu.memoryClockMhz, 'MHz'],
    ] as const
  ).filter(([, value]) => value !== null);
  if (told.length === 0) return null;
  return (
    <dl class="facts wide" aria-label={t.gpu.sensors}>
      {told.map(([name, value, unit]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{`${formatCount(value!, locale)} ${unit}`}</dd>
        </div>
      ))}
    </dl>
  );
}

export function GpuPage(props: { index: number }) {
  const { t, locale } = useWords();
  const { gpus, slices } = useData();
  if (gpus.data === null) return null;
  const gpu = gpus.data.gpus.find((one) => one.index === props.index);
  if (!gpu) return <Empty title={t.gpu.unknown(props.index)} />;
  return (
    <>
      <div class="page-head">
        <h1>{t.gpu.title(gpu.index)}</h1>
        <span class="quiet">{gpu.name}</span>
        {gpu.smCount !== null && <span class="quiet">{t.gpu.sms(gpu.smCount)}</span>}
        <GpuState gpu={gpu} />
      </div>
      {gpu.state === 'quarantined' && (
        <p class="quiet">
          {t.gpu.forgive} <code class="command">tessera gpus --forgive {gpu.index}</code>
        </p>
      )}
      <dl class="facts wide">
        <div>
          <dt>{t.gpu.driver}</dt>
          <dd>{[gpu.driverKind, gpus.data.driverVersion].filter(Boolean).join(' ') || NONE}</dd>
        </div>
        <div>
          <dt>{t.gpu.uuid}</dt>
          <dd class="mono">{gpu.uuid || NONE}</dd>
        </div>
        <div>
          <dt>{t.gpu.pci}</dt>
          <dd class="mono">{gpu.pci ?? NONE}</dd>
        </div>
        <div>
          <dt>{t.gpu.unreserved}</dt>
          <dd>{formatBytes(gpu.unreservedBytes, locale)}</dd>
        </div>
      </dl>
      <Sensors gpu={gpu} />
      <div>
        <GpuTile gpu={gpu} slices={slices.data} whole />
        <p class="quiet below">{t.gpu.legend}</p>
      </div>
      <Timeline gpu={gpu.index} />
      <TenantTable gpu={gpu.index} />
      <EventTable gpu={gpu.index} most={20} />
    </>
  );
}
