// Builds the page into a folder: index.html, its style and scripts under names that change with them, the icon.
//   node build.mjs [--outdir DIR]         the page (default: build/page)
//   node build.mjs --tests [--outdir DIR] the unit tests as programs for node (default: build/tests)
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const MAX_GZIP_BYTES = 300_000;
const here = dirname(fileURLToPath(import.meta.url));
const isTests = process.argv.includes('--tests');
const outAt = process.argv.indexOf('--outdir');
const out = outAt > 0 ? process.argv[outAt + 1] : join(here, 'build', isTests ? 'tests' : 'page');

const common = {
  bundle: true,
  write: false,
  charset: 'utf8',
  legalComments: 'none',
  logLevel: 'warning',
  jsx: 'automatic',
  jsxImportSource: 'preact',
};

async function buildPage() {
  const result = await build({
    ...common,
    entryPoints: [join(here, 'src/main.tsx'), join(here, 'src/boot.ts')],
    outdir: out,
    minify: true,
    format: 'iife',
    target: ['es2022'],
  });
  const files = new Map([['icon.svg', readFileSync(join(here, 'src/icon.svg'))]]);
  const names = {};
  for (const { path, contents } of result.outputFiles) {
    const [, stem, kind] = /([a-z]+)\.(js|css)$/.exec(path);
    const hash = createHash('sha256').update(contents).digest('hex').slice(0, 10);
    const name = `assets/${stem}-${hash}.${kind}`;
    files.set(name, contents);
    names[kind === 'css' ? 'style' : stem] = `/${name}`;
  }
  const html = readFileSync(join(here, 'src/index.html'), 'utf8');
  const filled = html.replace(/\{\{(\w+)\}\}/g, (_, name) => names[name]);
  files.set('index.html', filled);
  const total = [...files.values()].reduce((sum, contents) => sum + gzipSync(contents).length, 0);
  if (total > MAX_GZIP_BYTES)
    throw new Error(`the page has ${total} bytes compressed, at most ${MAX_GZIP_BYTES}`);
  return files;
}

async function buildTests() {
  const tests = readdirSync(join(here, 'test')).filter((name) => name.endsWith('.test.ts'));
  const result = await build({
    ...common,
    entryPoints: tests.map((name) => join(here, 'test', name)),
    outdir: out,
    platform: 'node',
    format: 'esm',
    outExtension: { '.js': '.mjs' },
    target: ['node18'],
  });
  return new Map(
    result.outputFiles.map(({ path, contents }) => [path.slice(path.lastIndexOf('/') + 1), contents]),
  );
}

const files = await (isTests ? buildTests() : buildPage());
rmSync(out, { recursive: true, force: true });
for (const [name, contents] of files) {
  mkdirSync(dirname(join(out, name)), { recursive: true });
  writeFileSync(join(out, name), contents);
}
