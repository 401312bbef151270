import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

// The blocks of tokens.css: light, dark by choice, dark by the system.
function palettes(): Map<string, string>[] {
  const css = readFileSync('src/style/tokens.css', 'utf8');
  const blocks = css.split(':root').slice(1);
  return blocks.map(
    (block) => new Map([...block.matchAll(/(--[\w-]+): (#[0-9a-f]{6});/g)].map((m) => [m[1], m[2]])),
  );
}

// WCAG 2's relative luminance and contrast.
function luminance(colour: string): number {
  const [r, g, b] = [1, 3, 5]
    .map((at) => parseInt(colour.slice(at, at + 2), 16) / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
}

test('text can be read on what it stands on, and accents be told from it', () => {
  assert.equal(palettes().length, 3);
  for (const palette of palettes()) {
    const of = (name: string): string => {
      const colour = palette.get(`--${name}`);
      assert.ok(colour, name);
      return colour;
    };
    const check = (front: string, back: string, least: number): void => {
      const found = contrast(of(front), of(back));
      assert.ok(
        found >= least,
        `${front} ${of(front)} on ${back} ${of(back)}: ${found.toFixed(2)}, not ${least}`,
      );
    };
    for (const back of ['surface', 'background']) {
      for (const front of ['text', 'muted', 'link', 'bad', 'warn', 'ok']) check(front, back, 4.5);
      check('faint', back, 3);
      check('focus', back, 3);
    }
    for (const tone of ['ok', 'warn', 'bad']) check(tone, `${tone}-soft`, 4.5);
    check('muted', 'cell', 4.5);
    for (let slot = 0; slot < 12; ++slot) check(`accent-${slot}`, 'surface', 2.8);
  }
});

test('dark is the same by choice and by the system', () => {
  const [, chosen, system] = palettes();
  assert.deepEqual(chosen, system);
});
