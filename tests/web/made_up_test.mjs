// The page against a made-up node (web/dev): what a real one seldom shows. Names that are attacks, an API that fails,
// a token, nothing at all, and a great deal.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import {
  DARK,
  DESKTOP,
  eventually,
  launch,
  openPage,
  overhang,
  PHONE,
  screenshot,
  unreadable,
  WORK,
} from './browser.mjs';

const { MadeUpNode } = await import(pathToFileURL(join(WORK, 'dev/made_up_node.mjs')));
const { answerOf, pageServer } = await import(pathToFileURL(join(WORK, 'dev/server.mjs')));
const PAGE = join(WORK, 'page');
const TOKEN = 'a-token-of-16-letters';
const ATTACKS = [
  '<img src=x onerror=alert(1)>',
  '"><script>alert(2)</script>',
  '../../etc',
  'a/b?c#d%41',
  '租户-七',
  'x'.repeat(64),
];

let browser;
before(async () => {
  browser = await launch();
});
after(() => browser.close());

// Runs `body` with the address of a server whose `state` it may change: mode is ok, failing, closed or locked.
async function withNode(node, body) {
  const state = { mode: 'ok' };
  const server = pageServer(PAGE, (url, request) => {
    if (state.mode === 'failing')
      return { status: 500, body: { error: { code: 'internal', message: 'the driver hangs' } } };
    if (state.mode === 'locked' && request.headers.authorization !== `Bearer ${TOKEN}`) {
      return { status: 401, body: { error: { code: 'permission_denied', message: 'carry the token' } } };
    }
    if (state.mode === 'closed') request.socket.destroy();
    return answerOf(node, url);
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  try {
    await body(`http://127.0.0.1:${server.address().port}`, state);
  } finally {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
}

test('the page is small, needs nothing from elsewhere, and paints', async (t) => {
  await withNode(new MadeUpNode(), async (base) => {
    const { page, close } = await openPage(browser, base);
    await page.getByRole('heading', { name: 'Tenants' }).waitFor();
    await page.locator('.u-over').first().waitFor();
    const paint = await page.evaluate(
      () => performance.getEntriesByName('first-contentful-paint')[0].startTime,
    );
    t.diagnostic(`first paint after ${paint.toFixed(0)} ms`);
    assert.deepEqual(await unreadable(page), []);
    await screenshot(page, 'overview-light');
    await close();
    const dark = await openPage(browser, base, { context: DARK });
    await dark.page.locator('.u-over').first().waitFor();
    await screenshot(dark.page, 'overview-dark');
    await dark.close();
  });
});

test('names that are attacks are only names', async () => {
  await withNode(new MadeUpNode({ gpus: 1, tenants: ATTACKS.length, names: ATTACKS }), async (base) => {
    const { page, close } = await openPage(browser, base);
    const rows = page.locator('table.tenants tbody tr');
    await eventually(async () => (await rows.count()) === ATTACKS.length, 'all tenants');
    for (const name of ATTACKS) {
      await page.evaluate(() => (location.hash = '#/tenants'));
      await rows.filter({ hasText: name }).getByRole('link', { name, exact: true }).click();
      await page.getByRole('heading', { level: 1, name, exact: true }).waitFor();
    }
    await close();
  });
});

test('while the API fails the last figures stay, and it says why', async () => {
  const allowed = (text) => text.includes('Failed to load resource');
  await withNode(new MadeUpNode(), async (base, state) => {
    const { page, close } = await openPage(browser, base, { allowed });
    const rows = page.locator('table.tenants tbody tr');
    await rows.first().waitFor();
    const count = await rows.count();
    for (const mode of ['failing', 'closed']) {
      state.mode = mode;
      const alert = page.getByRole('alert');
      await alert.waitFor();
      if (mode === 'failing') assert.match(await alert.textContent(), /the driver hangs/);
      assert.equal(await rows.count(), count);
      await screenshot(page, `api-${mode}`);
      state.mode = 'ok';
      await alert.getByRole('button', { name: 'Ask now' }).click();
      await alert.waitFor({ state: 'detached' });
    }
    await close();
  });
});

test('a daemon that was never there says how to start one', async () => {
  const allowed = (text) => text.includes('Failed to load resource');
  await withNode(new MadeUpNode(), async (base, state) => {
    state.mode = 'closed';
    const { page, close } = await openPage(browser, base, { allowed });
    await page.getByText('tesserad --http').waitFor();
    await close();
  });
});

test('a token opens a node that asks for one', async () => {
  const allowed = (text) => text.includes('401');
  await withNode(new MadeUpNode(), async (base, state) => {
    state.mode = 'locked';
    const { page, close } = await openPage(browser, base, { allowed });
    await page.getByLabel('Token').fill('wrong');
    await screenshot(page, 'token');
    await page.getByRole('button', { name: 'Open' }).click();
    await page.getByText('That token was refused.').waitFor();
    await page.getByLabel('Token').fill(TOKEN);
    await page.keyboard.press('Enter');
    await page.locator('table.tenants tbody tr').first().waitFor();
    // For this tab alone: nothing that outlives it, nothing in the address.
    assert.equal(await page.evaluate((token) => JSON.stringify(localStorage).includes(token), TOKEN), false);
    assert.ok(!page.url().includes(TOKEN));
    await close();
  });
});

test('where there is nothing the page says what to do', async () => {
  await withNode(new MadeUpNode({ gpus: 0, tenants: 0 }), async (base) => {
    const { page, close } = await openPage(browser, base);
    await page.getByText('tessera run --mem').waitFor();
    await page.getByText('tessera doctor').waitFor();
    await screenshot(page, 'empty');
    await close();
  });
  await withNode(new MadeUpNode(), async (base) => {
    const { page, close } = await openPage(browser, base, { path: '/#/tenants/nobody' });
    await page.getByText('“nobody” has no slice now').waitFor();
    await page.goto(`${base}/#/gpus/77`);
    await page.getByText('There is no GPU 77 on this node').waitFor();
    await close();
  });
});

test('it can be used by keyboard alone', async () => {
  await withNode(new MadeUpNode(), async (base) => {
    const { page, close } = await openPage(browser, base);
    await page.locator('table.tenants tbody tr').first().waitFor();
    const focused = () =>
      page.evaluate(() => `${document.activeElement.tagName} ${document.activeElement.className}`);
    await page.keyboard.press('Tab');
    assert.equal(await focused(), 'A skip');
    await page.keyboard.press('Enter');
    assert.match(await focused(), /^MAIN/);
    const head = page.getByRole('columnheader', { name: 'Memory', exact: true }).last();
    await head.getByRole('button').focus();
    await page.keyboard.press('Enter');
    assert.equal(await head.getAttribute('aria-sort'), 'descending');
    await page.keyboard.press('Space');
    assert.equal(await head.getAttribute('aria-sort'), 'ascending');
    // Whatever has the focus shows it.
    for (const control of await page
      .locator('a:visible, button:visible, input:visible, select:visible')
      .all()) {
      await control.focus();
      await page.keyboard.press('Shift');
      const outline = await control.evaluate((element) => getComputedStyle(element).outlineStyle);
      assert.notEqual(outline, 'none', await control.evaluate((element) => element.outerHTML));
    }
    await page.locator('table.tenants tbody a.tenant').first().focus();
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1 }).waitFor();
    assert.match(await focused(), /^MAIN/);
    await close();
  });
});

test('charts can be walked through by keyboard, and say what they show', async () => {
  await withNode(new MadeUpNode(), async (base) => {
    const { page, close } = await openPage(browser, base);
    await page.locator('.u-over').first().waitFor();
    const chart = page.locator('figure.chart').first();
    await chart.getByRole('img').focus();
    const said = async () => (await chart.getByRole('status').textContent()).trim();
    const heard = [];
    for (let i = 0; i < 3; ++i) {
      await page.keyboard.press('ArrowLeft');
      await eventually(async () => !['', ...heard].includes(await said()), 'something new is said');
      heard.push(await said());
    }
    for (const text of heard) assert.match(text, /^\d\d:\d\d:\d\d, alice \d+%, /);
    await close();
  });
});

test('who keeps failing is named, with the way out', async () => {
  const made = new MadeUpNode();
  made.failing = [
    {
      name: 'crash<b>',
      owner: 0,
      faults: 3,
      latest_error: 700,
      isolated: true,
      quarantined: true,
      waits_seconds: 75,
    },
  ];
  await withNode(made, async (base) => {
    const { page, close } = await openPage(browser, base);
    const line = page.locator('.failing li');
    await line.waitFor();
    assert.match(
      await line.textContent(),
      /“crash<b>” has failed on the GPU 3 times.*beside nobody.*1 min 15 s.*--forgive crash<b>/,
    );
    await close();
  });
});

test('colours and language are switched, and kept', async () => {
  await withNode(new MadeUpNode(), async (base) => {
    const { page, close } = await openPage(browser, base);
    const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const light = await background();
    await page.getByLabel('Colours').selectOption('dark');
    assert.notEqual(await background(), light);
    await page.getByRole('button', { name: '中文' }).click();
    await page.getByRole('heading', { name: '租户' }).waitFor();
    assert.equal(await page.evaluate(() => document.documentElement.lang), 'zh-CN');
    await page.reload();
    await page.getByRole('heading', { name: '租户' }).waitFor();
    assert.notEqual(await background(), light);
    await page.locator('.u-over').first().waitFor();
    await screenshot(page, 'chinese-dark');
    // What happened is said in Chinese, too.
    await page.goto(`${base}/#/events`);
    await page.locator('.event-text').filter({ hasText: /^进程 \d+$/ }).first().waitFor();
    assert.equal(await page.locator('.event-text').filter({ hasText: /process|CUDA error/ }).count(), 0);
    await screenshot(page, 'chinese-events');
    await page.goto(`${base}/#/alerts`);
    await page.locator('.alert-summary').filter({ hasText: '已用显存：显存上限的 100.0%' }).waitFor();
    await screenshot(page, 'chinese-alerts');
    await page.goto(`${base}/#/gpus/0`);
    await page.getByText('SM 频率').waitFor();
    await page.locator('.u-over').first().waitFor();
    await screenshot(page, 'chinese-gpu');
    await page.goto(`${base}/#/`);
    await page.getByLabel('配色').selectOption('auto');
    assert.equal(await background(), light);
    await close();
    const chinese = await openPage(browser, base, { context: { ...DESKTOP, locale: 'zh-CN' } });
    await chinese.page.getByRole('heading', { name: '租户' }).waitFor();
    await chinese.close();
  });
});

test('with many GPUs and tenants it stays readable, on a phone too', async () => {
  await withNode(new MadeUpNode({ gpus: 8, tenants: 100, names: ATTACKS }), async (base) => {
    for (const [name, context] of [
      ['many', DESKTOP],
      ['many-phone', PHONE],
    ]) {
      const { page, close } = await openPage(browser, base, { context });
      await page.goto(`${base}/#/`);
      await page.getByRole('link', { name: 'All 100 tenants' }).waitFor();
      assert.equal(await overhang(page), 0, `${name}: overview`);
      await page.getByText('an uncorrectable memory error was counted').first().waitFor();
      await screenshot(page, name);
      for (const hash of ['#/tenants', '#/alerts', '#/events', '#/gpus/0', `#/tenants/${'x'.repeat(64)}`]) {
        await page.goto(`${base}/${hash}`);
        await page.locator('main section').first().waitFor();
        if (hash === '#/tenants') {
          await eventually(
            async () => (await page.locator('table.tenants tbody tr').count()) === 100,
            'all tenants',
          );
        }
        assert.equal(await overhang(page), 0, `${name}: ${hash}`);
      }
      await close();
    }
  });
});

test('a phone shows what a desk shows', async () => {
  await withNode(new MadeUpNode(), async (base) => {
    const { page, close } = await openPage(browser, base, { context: PHONE });
    await page.locator('table.tenants tbody tr').first().waitFor();
    assert.deepEqual(await unreadable(page), []);
    await page.locator('.u-over').first().waitFor();
    await screenshot(page, 'phone');
    await page.goto(`${base}/#/tenants/alice`);
    await page.getByRole('heading', { level: 1, name: 'alice' }).waitFor();
    await page.locator('.u-over').first().waitFor();
    assert.equal(await overhang(page), 0);
    await screenshot(page, 'phone-tenant');
    await close();
  });
});

test('time past is shown where the daemon has a history', async () => {
  await withNode(new MadeUpNode(), async (base) => {
    const { page, close } = await openPage(browser, base, { path: '/#/tenants/alice' });
    await page.getByRole('button', { name: '24 h' }).click();
    const chart = page.getByRole('img', { name: /^Compute share\. Now: alice [\d.]+%, entitled [\d.]+%/ });
    await chart.waitFor();
    await screenshot(page, 'tenant-24h');
    await close();
  });
});

test('what the page loads is as small as was promised, and its own', (t) => {
  const files = readdirSync(PAGE, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const bytes = files
    .map((entry) => gzipSync(readFileSync(join(entry.parentPath ?? entry.path, entry.name))).length)
    .reduce((a, b) => a + b);
  t.diagnostic(`${bytes} bytes compressed`);
  assert.ok(bytes < 300_000);
  const html = readFileSync(join(PAGE, 'index.html'), 'utf8');
  assert.ok(
    !/<script>|<style|style=|onload=|https?:\/\//.test(html),
    'nothing inline, nothing from elsewhere',
  );
});
