import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiError } from '../src/api/client';
import { EventLog, filterEvents, MOST_EVENTS } from '../src/api/events';
import { Feed, type FeedClock, type FeedState } from '../src/api/feed';
import { readLines } from '../src/api/history';
import { readAlerts, readEvents, readGpus, readInfo, readSlices } from '../src/api/read';
import { MESSAGES, preferredLanguage } from '../src/i18n';

test('answers of any kind are read without an exception', () => {
  const strange: unknown[] = [
    null,
    undefined,
    7,
    'text',
    [],
    {},
    { gpus: 7, slices: 'x', events: {}, alerts: [null] },
    {
      gpus: [null, 7, { index: 'x', total_bytes: null }],
      slices: [{ devices: [7, {}], processes: [null] }],
      outside: [3],
    },
    { events: [{ time_ms: 'soon' }], latest: -1 },
    { alerts: [{ labels: [1, 2], state: 'odd', value: 'NaN' }] },
  ];
  for (const answer of strange) {
    for (const read of [readGpus, readSlices, readEvents, readAlerts, readInfo]) assert.ok(read(answer));
    assert.ok(readLines(answer, 1));
  }
  assert.equal(readGpus({ gpus: [{ state: 'dancing' }] }).gpus[0].state, 'unavailable');
});

test('history of several lines is brought to common times', () => {
  const answer = {
    series: [
      {
        labels: { slice: 'a', gpu: '0' },
        points: [
          [1000, 0.5, 0, 1],
          [3000, 0.25, 0, 1],
        ],
      },
      {
        labels: { slice: 'b', gpu: '1' },
        points: [
          [2000, null],
          ['x', 3],
          [3000, 1],
        ],
      },
    ],
  };
  const { times, lines } = readLines(answer, 1000);
  assert.deepEqual(times, [1, 2, 3]);
  assert.deepEqual(lines.get('0/a'), [500, null, 250]);
  assert.deepEqual(lines.get('1/b'), [null, null, 1000]);
});

test('who ends between two samples of the others takes nothing from them', () => {
  // Sampled every two seconds; b once more, at its end.
  const answer = {
    step_ms: 1000,
    series: [
      { labels: { slice: 'a' }, points: [10, 12, 14, 40, 42].map((s) => [s * 1000, s, s, s, 2]) },
      {
        labels: { slice: 'b' },
        points: [...[10, 12].map((s) => [s * 1000, s, s, s, 2]), [13_000, 0, 0, 0, 0.5]],
      },
    ],
  };
  const { times, lines } = readLines(answer, 1);
  assert.deepEqual(times, [10, 12, 13, 14, 40, 42]);
  assert.deepEqual(lines.get('0/a'), [10, 12, 14, 14, 40, 42]);
  assert.deepEqual(lines.get('0/b'), [10, 12, 0, null, null, null]);
  // Of a time in which nothing was recorded there is nothing.
  const late = { labels: { slice: 'c' }, points: [[20_000, 1, 1, 1, 2]] };
  const withBreak = readLines({ step_ms: 1000, series: [...answer.series, late] }, 1);
  assert.deepEqual(withBreak.lines.get('0/a'), [10, 12, 14, 14, null, 40, 42]);
});

const event = (number: number, subject = ''): object => ({
  number,
  time_ms: number,
  kind: 'slice_opened',
  subject,
  text: 'On GPU 0',
  severity: 'info',
});

test('events are taken once, the latest first, and bounded', () => {
  const log = new EventLog();
  assert.ok(log.add(readEvents({ latest: 2, events: [event(1), event(2)] })));
  assert.ok(log.add(readEvents({ latest: 3, events: [event(2), event(3)] })));
  assert.deepEqual(
    log.list().map(({ number }) => number),
    [3, 2, 1],
  );
  assert.equal(log.after, 3);
  const many = Array.from({ length: 2 * MOST_EVENTS }, (_, i) => event(4 + i));
  assert.ok(log.add(readEvents({ latest: 3 + many.length, events: many })));
  assert.equal(log.list().length, MOST_EVENTS);
});

test('a daemon that began anew is noticed', () => {
  const log = new EventLog();
  log.add(readEvents({ latest: 9, events: [event(9)] }));
  assert.equal(log.add(readEvents({ latest: 1, events: [] })), false);
  assert.equal(log.after, 0);
  assert.ok(log.add(readEvents({ latest: 1, events: [event(1)] })));
  assert.equal(log.list().length, 1);
});

test('events are filtered by subject and words', () => {
  const { events } = readEvents({ latest: 2, events: [event(1, 'alice'), event(2, 'bob')] });
  assert.equal(filterEvents(events, { subject: 'alice' }, '').length, 1);
  assert.equal(filterEvents(events, null, 'slice BOB gpu').length, 1);
  assert.equal(filterEvents(events, null, 'fault').length, 0);
});

test('what tenants did on a GPU is among its events', () => {
  const on = (gpu: number, number: number): object => ({ ...event(number, 'alice'), details: { gpu } });
  const { events } = readEvents({ latest: 3, events: [on(0, 1), on(1, 2), event(3, 'GPU-0')] });
  const numbers = filterEvents(events, { subject: 'GPU-0', gpu: 0 }, '').map(({ number }) => number);
  assert.deepEqual(numbers, [1, 3]);
  assert.equal(filterEvents(events, { subject: 'GPU-1', gpu: 1 }, '').length, 1);
});

class FakeClock implements FeedClock {
  waits: number[] = [];
  private actions: (() => void)[] = [];
  now = (): number => 42;
  later = (action: () => void, ms: number): number => {
    this.waits.push(ms);
    return this.actions.push(action);
  };
  cancel = (): void => {};
  async next(): Promise<void> {
    this.actions.pop()!();
    await new Promise(setImmediate);
  }
}

test('the last answer stays while there is no new one, and questions become rarer', async () => {
  const clock = new FakeClock();
  const states: FeedState<string>[] = [];
  let broken = false;
  const ask = async (): Promise<string> => {
    if (broken) throw new ApiError('unreachable', 'no answer');
    return 'figures';
  };
  const feed = new Feed(ask, 1000, (state) => states.push(state), clock);
  feed.start();
  await new Promise(setImmediate);
  assert.deepEqual(states.at(-1), { data: 'figures', at: 42, error: null });
  broken = true;
  for (let i = 0; i < 6; ++i) await clock.next();
  assert.equal(states.at(-1)?.data, 'figures');
  assert.equal(states.at(-1)?.error?.kind, 'unreachable');
  assert.deepEqual(clock.waits, [1000, 1000, 2000, 4000, 8000, 8000, 8000]);
  broken = false;
  await clock.next();
  assert.equal(states.at(-1)?.error, null);
  assert.equal(clock.waits.at(-1), 1000);
  feed.stop();
  const count = states.length;
  await clock.next();
  assert.equal(states.length, count);
});

test('a feed that is stopped and started while it asks goes on once', async () => {
  const clock = new FakeClock();
  const answers: ((text: string) => void)[] = [];
  const states: FeedState<string>[] = [];
  const feed = new Feed(
    () => new Promise<string>((done) => answers.push(done)),
    1000,
    (state) => states.push(state),
    clock,
  );
  feed.start();
  feed.stop();
  feed.start();
  assert.equal(answers.length, 2);
  answers[0]('late');
  answers[1]('fresh');
  await new Promise(setImmediate);
  assert.deepEqual(
    states.map(({ data }) => data),
    ['fresh'],
  );
  assert.equal(clock.waits.length, 1);
});

test('languages have the same words', () => {
  const shape = (value: unknown): unknown =>
    typeof value === 'object' && value !== null
      ? Object.fromEntries(
          Object.entries(value)
            .sort()
            .map(([key, inner]) => [key, shape(inner)]),
        )
      : typeof value;
  assert.deepEqual(shape(MESSAGES.zh), shape(MESSAGES.en));
  assert.equal(preferredLanguage(['fr', 'zh-TW', 'en']), 'zh');
  assert.equal(preferredLanguage(['de']), 'en');
});
