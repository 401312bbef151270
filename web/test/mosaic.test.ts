import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apportion, cellsPath, mosaic } from '../src/model/mosaic';

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

test('cells are shared by weight', () => {
  assert.deepEqual(apportion([70, 30], 100, 200), [140, 60]);
  assert.deepEqual(apportion([25, 25], 100, 200), [50, 50]);
  assert.deepEqual(apportion([], 100, 200), []);
  assert.deepEqual(apportion([0, 0], 0, 200), [0, 0]);
});

test('what is more than nothing has a cell', () => {
  assert.deepEqual(apportion([1, 999], 1e6, 200), [1, 1]);
  assert.equal(apportion([1, 1e9], 1e9 + 1, 200)[0], 1);
});

test('thirds fill the whole', () => {
  assert.equal(sum(apportion([1, 1, 1], 3, 200)), 200);
});

test('more than the whole is scaled down to it', () => {
  const cells = apportion([100, 100, 100], 100, 200);
  assert.equal(sum(cells), 200);
  assert.ok(Math.max(...cells) - Math.min(...cells) <= 1);
});

test('with more tenants than cells the last go without', () => {
  const cells = apportion(new Array(300).fill(1), 300, 200);
  assert.equal(sum(cells), 200);
  assert.equal(Math.max(...cells), 1);
});

test('never more cells than there are, whatever the weights', () => {
  let seed = 1;
  const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let round = 0; round < 500; ++round) {
    const weights = Array.from(
      { length: 1 + Math.floor(random() * 40) },
      () => Math.floor(random() * 1000) - 100,
    );
    const total = Math.floor(random() * 20000);
    const cells = apportion(weights, total, 200);
    assert.ok(sum(cells) <= 200);
    weights.forEach((weight, i) => assert.ok(weight > 0 || cells[i] === 0));
  }
});

test('what is promised follows what is used, within what is free', () => {
  const bands = mosaic(
    [
      { key: 'alice', solid: 20, reserved: 30 },
      { key: 'bob', solid: 40, reserved: 0 },
    ],
    100,
    100,
  );
  assert.deepEqual(bands, [
    { key: 'alice', solid: 20, tinted: 30 },
    { key: 'bob', solid: 40, tinted: 0 },
  ]);
});

test('promises beyond the GPU are cut to what is free', () => {
  const bands = mosaic(
    [
      { key: 'a', solid: 50, reserved: 100 },
      { key: 'b', solid: 30, reserved: 100 },
    ],
    100,
    100,
  );
  assert.equal(sum(bands.map((band) => band.solid + band.tinted)), 100);
  assert.equal(bands[0].solid, 50);
});

test('cells are drawn column by column', () => {
  assert.equal(cellsPath(0, 0, 4, 0.2), '');
  assert.equal(cellsPath(3, 2, 4, 0.2), 'M0.1 3.1h0.8v0.8h-0.8zM1.1 0.1h0.8v0.8h-0.8z');
});
