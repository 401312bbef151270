import assert from 'node:assert/strict';
import { test } from 'node:test';
import { joinLines, largestLines, SeriesStore, stackLines } from '../src/model/series';

test('lines that come and go keep in step with the times', () => {
  const store = new SeriesStore(100, 10);
  store.append(1, [{ key: 'a', value: 1 }]);
  store.append(2, [
    { key: 'a', value: 2 },
    { key: 'b', value: 20 },
  ]);
  store.append(3, [{ key: 'b', value: 30 }]);
  assert.deepEqual(store.times, [1, 2, 3]);
  assert.deepEqual(store.line('a'), [1, 2, null]);
  assert.deepEqual(store.line('b'), [null, 20, 30]);
  assert.deepEqual(store.line('unknown'), [null, null, null]);
});

test('a clock that was set back adds nothing', () => {
  const store = new SeriesStore(100, 10);
  store.append(5, [{ key: 'a', value: 1 }]);
  store.append(4, [{ key: 'a', value: 2 }]);
  store.append(5, [{ key: 'a', value: 3 }]);
  assert.deepEqual(store.times, [5]);
  assert.deepEqual(store.line('a'), [1]);
});

test('points and lines are bounded, and ended tenants are forgotten', () => {
  const store = new SeriesStore(50, 20);
  for (let time = 0; time < 5000; ++time) {
    store.append(time, [{ key: `tenant-${Math.floor(time / 10)}`, value: time }]);
  }
  assert.ok(store.times.length <= 50 + 16);
  assert.ok(store.keys().length <= 20);
  assert.equal(store.line('tenant-499').at(-1), 4999);
  for (const key of store.keys()) assert.equal(store.line(key).length, store.times.length);
});

test('history ends where what was seen begins', () => {
  const joined = joinLines(
    {
      times: [1, 2, 3, 4],
      lines: new Map([
        ['a', [1, 2, 3, 4]],
        ['old', [9, 9, 9, 9]],
      ]),
    },
    {
      times: [3, 5],
      lines: new Map([
        ['a', [30, 50]],
        ['new', [7, 8]],
      ]),
    },
  );
  assert.deepEqual(joined.times, [1, 2, 3, 5]);
  assert.deepEqual(joined.lines.get('a'), [1, 2, 30, 50]);
  assert.deepEqual(joined.lines.get('old'), [9, 9, null, null]);
  assert.deepEqual(joined.lines.get('new'), [null, null, 7, 8]);
  assert.deepEqual(joinLines({ times: [1], lines: new Map() }, { times: [], lines: new Map() }).times, [1]);
});

test('the largest lines stand for themselves, the rest together', () => {
  const lines = new Map([
    ['small', [1, null, null]],
    ['large', [10, 10, 10]],
    ['tiny', [null, 1, null]],
    ['middle', [5, 5, 5]],
  ]);
  const { top, others } = largestLines(lines, 2);
  assert.deepEqual(top, ['large', 'middle']);
  assert.deepEqual(others, [1, 1, null]);
  assert.equal(largestLines(lines, 4).others, null);
});

test('lines are stacked over what is known', () => {
  assert.deepEqual(
    stackLines([
      [1, null, null],
      [2, 3, null],
    ]),
    [
      [1, 0, null],
      [3, 3, null],
    ],
  );
  assert.deepEqual(stackLines([]), []);
});
