// A node for the tests of the page: tesserad with HTTP, and programs in its slices, on a software GPU of their own.
//   TESSERA_BIN  the folder with tessera, tesserad and tessera-demo-tenant
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PATIENCE_MS } from './browser.mjs';

const BIN = process.env.TESSERA_BIN;

export class Node {
  folder = mkdtempSync(join(tmpdir(), 'tessera-page-'));
  port = 0;
  daemon = null;
  programs = [];

  env = {
    ...process.env,
    TESSERA_SOCKET: join(this.folder, 'tesserad.sock'),
    TESSERA_DRIVER: 'software',
    SOFTGPU_STATE_DIR: join(this.folder, 'softgpu'),
    SOFTGPU_MEMORY: '4GiB',
    SOFTGPU_SMS: '4',
  };

  get base() {
    return `http://127.0.0.1:${this.port}`;
  }

  // On the port that it had before, if any.
  async start(...options) {
    const words = ['--foreground', '--log-level', 'info', '--http', `127.0.0.1:${this.port}`, ...options];
    this.daemon = spawn(join(BIN, 'tesserad'), words, { env: this.env, stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    this.port = await new Promise((done, failed) => {
      const late = setTimeout(() => failed(new Error(`tesserad serves nothing: ${said}`)), PATIENCE_MS);
      this.daemon.on('exit', (code) => failed(new Error(`tesserad ended with ${code}: ${said}`)));
      this.daemon.stderr.on('data', (chunk) => {
        said = (said + chunk).slice(-8192);
        const found = /HTTP on http:\/\/127\.0\.0\.1:(\d+)/.exec(said);
        if (!found) return;
        clearTimeout(late);
        done(Number(found[1]));
      });
    });
  }

  // A demo tenant that works until it is ended.
  run(name, options, ...more) {
    const words = ['run', '--name', name, ...options, '--', join(BIN, 'tessera-demo-tenant'), '--name', name];
    const program = spawn(join(BIN, 'tessera'), [...words, '--seconds', '3600', ...more], {
      env: this.env,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    this.programs.push(program);
    return program;
  }

  tessera(...words) {
    return execFileSync(join(BIN, 'tessera'), words, { env: this.env, encoding: 'utf8' });
  }

  slice(name) {
    return JSON.parse(this.tessera('ps', '--json')).slices.find((slice) => slice.name === name);
  }

  async stop() {
    for (const program of this.programs) await ended(program, 'SIGTERM');
    if (this.daemon) await ended(this.daemon, 'SIGTERM');
    rmSync(this.folder, { recursive: true, force: true });
  }
}

export async function ended(process, signal) {
  if (process.exitCode !== null || process.signalCode !== null) return;
  const gone = new Promise((done) => process.once('exit', done));
  assert.ok(process.kill(signal));
  await gone;
}
