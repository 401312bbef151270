// A browser for the tests of the daemon's page: Chromium, driven by playwright-core from the page's build folder.
//   TESSERA_PAGE_WORK        the page's build folder: node_modules, page/
//   TESSERA_WEB_SCREENSHOTS  where screenshots go
//   TESSERA_CHROMIUM         the browser
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

export const WORK = process.env.TESSERA_PAGE_WORK;
const SCREENSHOTS = process.env.TESSERA_WEB_SCREENSHOTS;
export const PATIENCE_MS = 60_000; // how long a test waits for what must come

export const DESKTOP = { viewport: { width: 1440, height: 900 }, colorScheme: 'light', locale: 'en-GB' };
export const DARK = { ...DESKTOP, colorScheme: 'dark' };
export const PHONE = {
  viewport: { width: 390, height: 844 },
  deviceScaleFactor: 2,
  colorScheme: 'light',
  locale: 'en-GB',
  hasTouch: true,
};

export async function launch() {
  const { chromium } = createRequire(join(WORK, 'package.json'))('playwright-core');
  // In a container Chromium can neither sandbox itself nor have much of /dev/shm; what it opens here is our own.
  return chromium.launch({
    executablePath: process.env.TESSERA_CHROMIUM,
    args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'],
  });
}

// A page whose every complaint is noted: errors, warnings, exceptions, dialogs, requests to elsewhere. `allowed` says
// which are meant to be.
export async function openPage(browser, base, { context = DESKTOP, path = '/', allowed = () => false } = {}) {
  const opened = await browser.newContext(context);
  const page = await opened.newPage();
  const complaints = [];
  const note = (text) => !allowed(text) && complaints.push(text);
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && note(message.text()));
  page.on('pageerror', (error) => note(`exception: ${error.message}`));
  page.on('dialog', (dialog) => {
    note(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  page.on('request', (request) => {
    const url = request.url();
    if (!url.startsWith(base) && !url.startsWith('data:')) note(`asks elsewhere: ${url}`);
  });
  page.setDefaultTimeout(PATIENCE_MS);
  await page.goto(base + path);
  return {
    page,
    complaints,
    async close() {
      await opened.close();
      assert.deepEqual(complaints, []);
    },
  };
}

export async function screenshot(page, name) {
  if (!SCREENSHOTS) return;
  mkdirSync(SCREENSHOTS, { recursive: true });
  await page.screenshot({ path: join(SCREENSHOTS, `${name}.png`), fullPage: true });
}

// Waits until `condition` (an async function) holds; `what` does not, or says it when asked.
export async function eventually(condition, what) {
  const deadline = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    const missing = typeof what === 'function' ? what() : what;
    assert.ok(Date.now() < deadline, `${missing}: not within ${PATIENCE_MS / 1000} s`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

// What a screen reader could not make sense of.
export function unreadable(page) {
  return page.evaluate(() => {
    const findings = [];
    const say = (element, what) => findings.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
    const named = (element) =>
      element.textContent.trim() ||
      element.getAttribute('aria-label') ||
      (element.id && document.querySelector(`label[for="${element.id}"]`)) ||
      element.closest('label')?.textContent.trim();
    for (const element of document.querySelectorAll('a, button, input, select'))
      if (!named(element)) say(element, 'no name');
    for (const image of document.querySelectorAll('svg, img, canvas')) {
      const isTold = image.closest('[aria-hidden="true"]') || image.closest('[role="img"][aria-label]');
      if (!isTold) say(image, 'image without words');
    }
    for (const table of document.querySelectorAll('table')) {
      if (!table.querySelector('th[scope="col"]')) say(table, 'table without heads');
    }
    const ids = [...document.querySelectorAll('[id]')].map((element) => element.id);
    for (const id of new Set(ids))
      if (ids.filter((other) => other === id).length > 1) findings.push(`id twice: ${id}`);
    for (const element of document.querySelectorAll('[aria-labelledby]')) {
      if (!document.getElementById(element.getAttribute('aria-labelledby')))
        say(element, 'label that is not there');
    }
    for (const landmark of ['header', 'nav', 'main', 'footer']) {
      if (
        document.querySelectorAll(`body ${landmark === 'header' ? '#app > header' : landmark}`).length !== 1
      ) {
        findings.push(`not one ${landmark}`);
      }
    }
    return findings;
  });
}

// By how much the page is wider than the window.
export const overhang = (page) =>
  page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
