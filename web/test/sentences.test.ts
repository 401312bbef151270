import assert from 'node:assert/strict';
import { test } from 'node:test';
import { filterEvents } from '../src/api/events';
import { readAlerts, readEvents, readSlices } from '../src/api/read';
import { MESSAGES } from '../src/i18n';
import { alertText, eventText, figureText } from '../src/model/sentences';

const { en, zh } = MESSAGES;

function event(kind: string, details: object | undefined, text = 'as the daemon says') {
  return readEvents({ events: [{ number: 1, kind, subject: 'train', text, details }] }).events[0];
}

test('events are said in the language of the page', () => {
  const limit = event('slice_changed', { limit_bytes: 2 ** 30 });
  assert.equal(eventText(limit, en, 'en-GB'), 'memory limit 1 GiB');
  assert.equal(eventText(limit, zh, 'zh-CN'), '显存上限 1 GiB');
  const ended = event('process_ended', { pid: 7, end: 'replaced' });
  assert.equal(eventText(ended, en, 'en-GB'), 'process 7 runs another program');
  assert.equal(eventText(ended, zh, 'zh-CN'), '进程 7 换了程序');
  assert.equal(eventText(event('slice_ended', {}), zh, 'zh-CN'), '');
});

test('what an older or newer daemon tells is said as it says it', () => {
  assert.equal(eventText(event('process_ended', undefined), zh, 'zh-CN'), 'as the daemon says');
  assert.equal(eventText(event('something_new', { of: 1 }), zh, 'zh-CN'), 'as the daemon says');
});

test('every kind of event that has a name has a sentence in both languages', () => {
  const composed = ['alert_fired', 'alert_resolved'];
  for (const messages of [en, zh]) {
    for (const kind of Object.keys(en.events.kinds)) {
      assert.ok(composed.includes(kind) || messages.events.says[kind], kind);
      assert.ok(messages.events.kinds[kind], kind);
    }
    assert.deepEqual(Object.keys(messages.figures).sort(), Object.keys(en.figures).sort());
  }
});

test('alerts say what they are of', () => {
  const told = {
    rule: 'full',
    state: 'firing',
    labels: { slice: 'train', gpu: '0' },
    metric: 'slice_memory_used_bytes',
    of: 'slice_memory_limit_bytes',
    value: 0.97,
    note: 'ask for more',
    summary: 'x',
  };
  const [alert] = readAlerts({ alerts: [told] }).alerts;
  assert.equal(alertText(alert, en, 'en-GB'), 'memory in use: 97.0% of its memory limit; ask for more');
  assert.equal(alertText(alert, zh, 'zh-CN'), '已用显存：显存上限的 97.0%；ask for more');
  assert.equal(alertText({ ...alert, state: 'resolved' }, zh, 'zh-CN'), '已用显存：已回到范围内');
  assert.equal(
    alertText({ ...alert, isAbsence: true, value: null, note: '' }, en, 'en-GB'),
    'memory in use: nothing is told of it',
  );
  assert.equal(
    alertText({ ...alert, metric: 'slice_new_total', of: '', isRate: true, value: 2, note: '' }, en, 'en-GB'),
    'slice_new_total a second: 2',
  );
  const fired = event('alert_fired', {
    ...told,
    of: '',
    value: '5',
    gpu: 0,
    is_rate: 1,
    is_absence: 0,
    note: '',
  });
  assert.equal(eventText(fired, zh, 'zh-CN'), 'full (GPU 0)：每秒已用显存：5 B');
});

test('figures are written by what they are', () => {
  assert.equal(figureText('gpu_temperature_celsius', 61, false, 'en-GB'), '61 °C');
  assert.equal(figureText('slice_wait_p99_seconds', 0.004, false, 'en-GB'), '4.00 ms');
  assert.equal(figureText('slice_share_achieved_ratio', 0.5, false, 'en-GB'), '50.0%');
  assert.equal(figureText('slice_launches_total', 1234.5678, false, 'en-GB'), '1,230');
});

test('events are found by what the page says of them', () => {
  const events = [event('slice_changed', { limit_bytes: 2 ** 30 })];
  assert.equal(filterEvents(events, null, '显存').length, 0);
  assert.equal(filterEvents(events, null, '显存', (one) => eventText(one, zh, 'zh-CN')).length, 1);
});

test('the run times of kernels are told from buckets', () => {
  const part = (buckets: number[], kernels: number) =>
    readSlices({
      slices: [
        { devices: [{ timed_kernels: kernels, timed_kernel_ns: 5e6, timed_kernel_buckets: buckets }] },
      ],
    }).slices[0].parts[0].runs;
  assert.deepEqual(part([0, 98, 1, 1, 0, 0, 0, 0, 0, 0], 100), { kernels: 100, meanNs: 5e4, p99Ns: 64e3 });
  assert.deepEqual(part([0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 2), { kernels: 2, meanNs: 2.5e6, p99Ns: null });
  assert.equal(part([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], 0), null);
  assert.equal(part([1], 1), null);
});
