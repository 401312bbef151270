// The page of a real daemon with two tenants on a software GPU: what it shows is what `tessera ps` says.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { join } from 'node:path';
import { DARK, eventually, launch, openPage, overhang, PHONE, screenshot, unreadable } from './browser.mjs';
import { ended, Node } from './node.mjs';

const MIB = 2 ** 20;
const RULES = `rules:
- name: memory-nearly-full
  metric: slice_memory_used_bytes
  of: slice_memory_limit_bytes
  above: 0.95
  summary: its next allocation may be refused
`;
const node = new Node();
const OPTIONS = ['--alerts', join(node.folder, 'rules.yaml'), '--history', join(node.folder, 'history')];
let browser, opened, page, bob;

// A row of the table of tenants.
const row = (name) => page.locator(`table.tenants tr[data-tenant="${name}"]`);
const cell = async (name, column) =>
  (await row(name).locator(`.col-${column} .amount, .col-${column}`).first().textContent()).trim();
const go = (hash) => page.evaluate((to) => (location.hash = to), hash);
const fact = (name) =>
  page
    .locator('.facts div')
    .filter({ has: page.getByText(name, { exact: true }) })
    .locator('dd');

before(async () => {
  browser = await launch();
  writeFileSync(join(node.folder, 'rules.yaml'), RULES);
  await node.start(...OPTIONS);
  opened = await openPage(browser, node.base, {
    // While the daemon is away.
    allowed: (text) => /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE/.test(text),
  });
  page = opened.page;
});

after(async () => {
  await node.stop();
  await browser?.close();
});

test('an empty node says how to start a program', async (t) => {
  await page.getByText('tessera run --mem').waitFor();
  const paint = await page.evaluate(
    () => performance.getEntriesByName('first-contentful-paint')[0].startTime,
  );
  const bytes = await page.evaluate(() =>
    [...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]
      .filter((entry) => !entry.name.includes('/api/'))
      .reduce((sum, entry) => sum + entry.transferSize, 0),
  );
  t.diagnostic(`first paint after ${paint.toFixed(0)} ms, ${bytes} bytes transferred`);
  assert.ok(bytes > 0 && bytes < 300_000);
});

test('two tenants appear with the figures that the daemon has', async () => {
  node.run('alice', ['--gpu', '0', '--mem', '1GiB', '--sm', '70'], '--work', 'matmul', '--memory', '600MiB');
  const more = ['--work', 'mandelbrot', '--memory', '300MiB', '--ask-beyond', '2GiB'];
  bob = node.run('bob', ['--gpu', '0', '--mem', '512MiB', '--sm', '30'], ...more);
  await row('alice').waitFor();
  await row('bob').waitFor();
  assert.match(await cell('alice', 'memory'), /\/ 1 GiB$/);
  assert.match(await cell('bob', 'memory'), /\/ 512 MiB$/);
  const used = () => node.slice('alice').devices[0].used_bytes;
  await eventually(() => used() >= 600 * MIB, 'alice holds its memory');
  const says = async () => (await cell('alice', 'memory')).startsWith(`${Math.round(used() / MIB)} MiB`);
  await eventually(says, 'the page says as much as the daemon');
  // Who asks beyond the limit is refused, and that is counted.
  await eventually(async () => Number(await cell('bob', 'refusals')) >= 1, 'bob was refused');
  for (const name of ['alice', 'bob']) {
    await eventually(async () => parseFloat(await cell(name, 'compute')) > 0, `${name} works`);
  }
  const mosaic = page.locator('article.tile').getByRole('img', { name: /Memory by tenant/ });
  assert.match(await mosaic.getAttribute('aria-label'), /alice .*MiB/);
  assert.deepEqual(await unreadable(page), []);
});

test('a tenant has a page of its own, and its figures go on', async () => {
  await row('alice').getByRole('link', { name: 'alice' }).click();
  await page.getByRole('heading', { level: 1, name: 'alice' }).waitFor();
  const { pid } = node.slice('alice').processes[0];
  await page.getByRole('rowheader', { name: String(pid), exact: true }).waitFor();
  const gpuTime = async () => (await fact('GPU time').textContent()).trim();
  const first = await gpuTime();
  await eventually(async () => (await gpuTime()) !== first, 'GPU time goes on');
  await page.getByRole('img', { name: /Compute share\. Now: alice/ }).waitFor();
  await page.locator('table.events').getByText('slice opened').waitFor();
  node.tessera('set', 'alice', '--mem', '1280MiB');
  await page.locator('.bars').getByText('1.25 GiB').waitFor();
  await page.locator('table.events').getByText('slice changed').waitFor();
  await screenshot(page, 'node-tenant');
});

test('an alert appears when a limit is hit, and goes when that is over', async () => {
  await go('#/');
  await page.getByText('No alert is firing').waitFor();
  const more = ['--work', 'reduce', '--memory', '250MiB'];
  const carol = node.run('carol', ['--gpu', '0', '--mem', '256MiB'], ...more);
  const alert = page.locator('.alert').filter({ hasText: 'memory-nearly-full' }).filter({ hasText: 'carol' });
  await alert.and(page.locator('.firing')).waitFor();
  assert.match(await alert.textContent(), /its next allocation may be refused/);
  assert.equal((await page.locator('nav .count').textContent()).trim(), '1');
  await page
    .getByRole('status')
    .filter({ hasText: 'Alert: memory-nearly-full' })
    .waitFor({ state: 'attached' });
  assert.match(await page.title(), /^\(1\) /);
  await screenshot(page, 'node-alert');
  await ended(carol, 'SIGTERM');
  await alert.and(page.locator('.resolved')).waitFor();
  await go('#/events');
  await page.locator('table.events').getByText('alert fired').waitFor();
});

test('time past is shown as the daemon has kept it', async () => {
  // Another page, opened now, has not seen it itself.
  const other = await openPage(browser, node.base, { path: '/#/tenants/alice' });
  await other.page.getByRole('button', { name: '1 h' }).click();
  const chart = other.page.locator('figure.chart').filter({ hasText: 'Memory' });
  await chart.locator('.u-over').waitFor();
  const keptBefore = () =>
    other.page.evaluate(async () => {
      const answer = await fetch('/api/v1/history?metric=slice_memory_used_bytes&slice=alice&since=1h');
      const clock = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium', hourCycle: 'h23' });
      const times = (await answer.json()).series[0].points.map((point) => point[0]);
      return times.filter((time) => time < performance.timeOrigin).map((time) => clock.format(time));
    });
  let seen, kept;
  await eventually(
    async () => {
      await chart.getByRole('img').focus();
      for (let i = 0; i < 40; ++i) await other.page.keyboard.press('PageUp');
      seen = (await chart.getByRole('status').textContent()).split(', ');
      kept = await keptBefore();
      // It may have held nothing then.
      return kept.includes(seen[0]) && /^alice (\d+ MiB|0 B)$/.test(seen[1]);
    },
    () => `the first figure is of before the page was opened: ${seen} of ${kept}`,
  );
  await screenshot(other.page, 'node-history');
  await other.close();
});

test('a daemon that keeps no history is asked for none', async () => {
  const other = new Node();
  await other.start();
  const { page: bare, close } = await openPage(browser, other.base);
  await bare.getByRole('button', { name: '1 h' }).click();
  await bare.getByText('No history: tesserad keeps none').waitFor();
  await close();
  await other.stop();
});

test('a GPU has a page of its own', async () => {
  await go('#/gpus/0');
  await page.getByRole('heading', { level: 1, name: 'GPU 0' }).waitFor();
  assert.deepEqual(await unreadable(page), []);
  assert.equal(await page.locator('table.tenants tbody tr').count(), 2);
  // What happened on it is there, too.
  await page
    .locator('table.events tr')
    .filter({ hasText: 'slice opened' })
    .filter({ hasText: 'bob' })
    .waitFor();
  await screenshot(page, 'node-gpu');
});

test('the language is switched in place', async () => {
  await go('#/');
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('heading', { name: '租户' }).waitFor();
  await screenshot(page, 'node-chinese');
  await page.getByRole('button', { name: 'EN' }).click();
  await page.getByRole('heading', { name: 'Tenants' }).waitFor();
});

test('it looks as it should, in the light, in the dark and on a phone', async () => {
  await screenshot(page, 'node-light');
  for (const [name, context] of Object.entries({ 'node-dark': DARK, 'node-phone': PHONE })) {
    const other = await openPage(browser, node.base, { context });
    await other.page.locator('table.tenants tbody tr').nth(1).waitFor();
    await other.page.locator('.u-over').first().waitFor();
    assert.equal(await overhang(other.page), 0);
    await screenshot(other.page, name);
    await other.close();
  }
});

test('a tenant that ends goes, and leaves an event', async () => {
  await ended(bob, 'SIGTERM');
  await row('bob').waitFor({ state: 'detached' });
  await go('#/events');
  await page
    .locator('table.events tr')
    .filter({ hasText: 'slice ended' })
    .filter({ hasText: 'bob' })
    .waitFor();
  await screenshot(page, 'node-events');
});

test('a daemon that is killed and comes back is noticed', async () => {
  await go('#/');
  await row('alice').waitFor();
  await ended(node.daemon, 'SIGKILL');
  const alert = page.getByRole('alert');
  await alert.waitFor();
  assert.ok(await row('alice').isVisible());
  await screenshot(page, 'node-daemon-gone');
  await node.start(...OPTIONS);
  await alert.waitFor({ state: 'detached' });
  await eventually(
    async () => (await cell('alice', 'memory')).endsWith('/ 1.25 GiB'),
    'alice is there again',
  );
});

test('nothing went wrong in the browser', () => opened.close());
