import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Accents, ACCENTS } from '../src/model/accents';
import { sortAlerts, summaryOf } from '../src/model/alerts';
import {
  formatAgo,
  formatBytes,
  formatDuration,
  formatNanoseconds,
  formatPermille,
} from '../src/model/format';
import { tenantsOf } from '../src/model/gpu_tenants';
import { parseRoute, type Route, routeHash } from '../src/model/route';
import { filterRows, nextSort, rowsOf, sortRows } from '../src/model/rows';
import { summarize } from '../src/model/summary';
import { byTenant, emptyLive, lastSeconds, liveLines, niceTop, recordLive } from '../src/model/timeline';
import { readAlerts, readGpus, readSlices } from '../src/api/read';
import type { Alert } from '../src/api/types';

const slices = readSlices({
  time_ms: 5000,
  slices: [
    {
      name: 'alice',
      owner: 1000,
      age_seconds: 10,
      devices: [
        {
          gpu: 0,
          limit_bytes: 2000,
          reserved: true,
          used_bytes: 500,
          achieved_permille: 700,
          entitled_permille: 600,
          wait_p99_ns: 5,
          qos_class: 'burstable',
        },
        {
          gpu: 1,
          limit_bytes: 1000,
          reserved: true,
          used_bytes: 100,
          achieved_permille: 100,
          entitled_permille: 100,
          wait_p99_ns: 9,
        },
      ],
      processes: [{ pid: 42 }],
    },
    {
      name: 'bob',
      owner: 1000,
      age_seconds: 5,
      devices: [{ gpu: 0, used_bytes: 300, achieved_permille: 200, wait_p99_ns: null }],
      processes: [],
    },
    { name: 'tenant-10', devices: [] },
    { name: 'tenant-9', devices: [] },
  ],
  outside: [{ gpu: 0, pid: 7, utilization_percent: 5 }],
});
const gpus = readGpus({
  gpus: [
    { index: 0, state: 'ok', total_bytes: 1e9, used_bytes: 5e8 },
    { index: 1, state: 'lost', total_bytes: 1e9, used_bytes: null },
  ],
});

test('sizes, shares and times are short', () => {
  assert.equal(formatBytes(0, 'en'), '0 B');
  assert.equal(formatBytes(512 * 2 ** 20, 'en'), '512 MiB');
  assert.equal(formatBytes(1.5 * 2 ** 30, 'en'), '1.50 GiB');
  assert.equal(formatBytes(23.26 * 2 ** 30, 'en'), '23.3 GiB');
  assert.equal(formatBytes(null, 'en'), '–');
  assert.equal(formatPermille(703, 'en'), '70.3%');
  assert.equal(formatNanoseconds(850, 'en'), '850 ns');
  assert.equal(formatNanoseconds(1_250_000, 'en'), '1.25 ms');
  assert.equal(formatNanoseconds(2.1e9, 'zh-CN'), '2.10 s');
  assert.equal(formatNanoseconds(644e9, 'en'), '10 min 44 s');
  assert.equal(formatDuration(0.4, 'en'), '0 s');
  assert.equal(formatDuration(3600, 'en'), '1 h');
  assert.equal(formatDuration(725, 'en'), '12 min 5 s');
  assert.equal(formatDuration(90_000, 'en'), '1 d 1 h');
  assert.equal(formatDuration(7500, 'zh-CN'), '2 小时 5 分');
  assert.equal(formatAgo(120, 'en'), '2 min. ago');
  assert.equal(formatAgo(-5, 'en'), 'now');
  assert.match(formatAgo(7200, 'zh-CN'), /2\s*小时前/);
});

test('addresses lead back to where they were made', () => {
  const routes: Route[] = [
    { page: 'overview' },
    { page: 'tenants' },
    { page: 'tenant', name: 'a/b %41 <script> 中文' },
    { page: 'gpu', index: 12 },
    { page: 'alerts' },
    { page: 'events' },
  ];
  for (const route of routes) assert.deepEqual(parseRoute(routeHash(route)), route);
  for (const strange of ['', '#', '#/nowhere', '#/gpus/x', '#/gpus/99999']) {
    assert.deepEqual(parseRoute(strange), { page: 'overview' });
  }
  assert.deepEqual(parseRoute('#/tenants/%E0%A4%A'), { page: 'tenant', name: '%E0%A4%A' });
});

test('a tenant keeps its accent, and accents are shared evenly', () => {
  const accents = new Accents();
  const names = ['alice', ...Array.from({ length: ACCENTS - 1 }, (_, i) => `tenant-${i}`)];
  accents.assign(names);
  assert.equal(new Set(names.map((name) => accents.slotOf(name))).size, ACCENTS);
  const slot = accents.slotOf('alice');
  accents.assign(Array.from({ length: ACCENTS }, (_, i) => `later-${i}`));
  const count = new Array<number>(ACCENTS).fill(0);
  for (let i = 0; i < ACCENTS; ++i) count[accents.slotOf(`later-${i}`)] += 1;
  assert.deepEqual(count, new Array<number>(ACCENTS).fill(1));
  // Whatever the order in which they are told of.
  const again = new Accents();
  again.assign([...names].reverse());
  for (const name of names) assert.equal(again.slotOf(name), accents.slotOf(name));
  accents.keep(new Set(['alice']));
  assert.equal(accents.size, 1);
  assert.equal(accents.slotOf('alice'), slot);
});

test('rows are sorted with numbers as numbers, and filtered by words', () => {
  const rows = rowsOf(slices.slices);
  const names = (sorted: typeof rows): string[] => sorted.map((row) => row.slice.name);
  assert.deepEqual(names(sortRows(rows, { key: 'name', descending: false })), [
    'alice',
    'alice',
    'bob',
    'tenant-9',
    'tenant-10',
  ]);
  assert.equal(sortRows(rows, { key: 'memory', descending: true })[0].part?.usedBytes, 500);
  assert.deepEqual(names(filterRows(rows, 'gpu:1')), ['alice']);
  assert.deepEqual(names(filterRows(rows, '42 burst')), ['alice']);
  assert.deepEqual(names(filterRows(rows, 'BOB')), ['bob']);
  assert.deepEqual(filterRows(rows, 'nobody'), []);
  assert.deepEqual(nextSort({ key: 'name', descending: false }, 'memory'), {
    key: 'memory',
    descending: true,
  });
  assert.deepEqual(nextSort({ key: 'memory', descending: true }, 'memory'), {
    key: 'memory',
    descending: false,
  });
});

test('what of a GPU is not the tenants’ is outside', () => {
  const use = tenantsOf(gpus.gpus[0], slices);
  assert.deepEqual(
    use.tenants.map(({ name }) => name),
    ['alice', 'bob'],
  );
  assert.equal(use.outsideBytes, 5e8 - 800);
  assert.equal(use.outsidePermille, 50);
  assert.equal(use.usedPermille, 950);
  // Less than anybody could see is not shown as somebody else's.
  assert.equal(tenantsOf({ ...gpus.gpus[0], usedBytes: 1000 }, slices).outsideBytes, 0);
});

test('a node is summed up', () => {
  const summary = summarize(gpus, slices);
  assert.equal(summary.gpusOk, 1);
  assert.equal(summary.busyPermille, 950);
  assert.deepEqual(summary.longestWait, { name: 'alice', ns: 9 });
  assert.equal(summarize(null, null).tenants, 0);
});

test('the parts of a tenant add up over GPUs, of waits the longest counts', () => {
  const live = emptyLive();
  recordLive(live, 100, slices);
  recordLive(live, 102, slices);
  const share = byTenant(liveLines(live.share), 'share', null, null);
  assert.deepEqual(share.lines.get('alice'), [800, 800]);
  assert.deepEqual(byTenant(liveLines(live.share), 'share', 1, null).lines.get('alice'), [100, 100]);
  assert.deepEqual(byTenant(liveLines(live.wait), 'wait', null, 'alice').lines.get('alice'), [9, 9]);
  assert.deepEqual([...byTenant(liveLines(live.share), 'share', null, 'bob').lines.keys()], ['bob']);
  // A line is broken where nothing was seen for long.
  recordLive(live, 200, slices);
  assert.deepEqual(liveLines(live.share).times, [100, 102, 103, 200]);
  assert.deepEqual(liveLines(live.share).lines.get('0/alice'), [700, 700, null, 700]);
  assert.deepEqual(lastSeconds(share, 1, 102).times, [102]);
  assert.deepEqual(lastSeconds(share, 1, 900).times, []);
});

test('scales end at round figures', () => {
  assert.equal(niceTop('wait', 3.2e6), 4e6);
  assert.equal(niceTop('share', 1037), 1200, 'a little more than a GPU is not two');
  assert.equal(niceTop('memory', 9 * 2 ** 30), 10 * 2 ** 30);
  assert.equal(niceTop('memory', 11 * 2 ** 30), 12 * 2 ** 30);
  assert.equal(niceTop('memory', 2 ** 30), 2 ** 30);
  assert.ok(niceTop('wait', null) > 0);
});

test('a summary does not say once more what stands before it', () => {
  const [alert] = readAlerts({
    alerts: [
      { rule: 'full', labels: { slice: 'bob', gpu: '1' }, summary: "full: slice 'bob' on GPU 1: it is 0.97" },
    ],
  }).alerts;
  assert.equal(summaryOf(alert), 'it is 0.97');
  assert.equal(summaryOf({ ...alert, rule: 'other' }), alert.summary);
  assert.equal(summaryOf({ ...alert, labels: { gpu: '1' } }), "slice 'bob' on GPU 1: it is 0.97");
  assert.equal(
    summaryOf({ ...alert, labels: { gpu: '1' }, summary: 'full: GPU 1: it is lost' }),
    'it is lost',
  );
});

test('firing alerts come first, the worst of them before the others', () => {
  const alert = (rule: string, state: string, severity: string, since: number): Alert =>
    readAlerts({ alerts: [{ rule, state, severity, labels: {}, since_ms: since }] }).alerts[0];
  const sorted = sortAlerts([
    alert('a', 'resolved', 'critical', 9),
    alert('b', 'firing', 'warning', 1),
    alert('c', 'pending', 'critical', 2),
    alert('d', 'firing', 'critical', 3),
    alert('e', 'firing', 'warning', 5),
  ]);
  assert.deepEqual(
    sorted.map(({ rule }) => rule),
    ['d', 'e', 'b', 'c', 'a'],
  );
});
