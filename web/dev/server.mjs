// Serves the page for work on it, under the policy that the daemon serves it with.
//   node dev/server.mjs [--page DIR] [--port 9401] [--daemon http://127.0.0.1:9400]
//                       [--gpus 2] [--tenants 5]
// The API's answers come from the daemon where one is named, else from a made-up node.
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MadeUpNode } from './made_up_node.mjs';

const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
  "frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const SECONDS = { m: 60, h: 3600, d: 86_400 };

function answerOf(node, url) {
  const query = url.searchParams;
  switch (url.pathname.replace('/api/v1/', '')) {
    case 'gpus':
      return node.gpus();
    case 'slices':
      return node.slices();
    case 'events':
      return node.eventsAfter(Number(query.get('after') ?? 0));
    case 'alerts':
      return node.alerts();
    case 'info':
      return { time_ms: Date.now(), hostname: 'gpu-box', version: '0.1.0' };
    case 'history': {
      const [, count, unit] = /^(\d+)([mhd])$/.exec(query.get('since') ?? '1h');
      return node.history(query.get('metric'), count * SECONDS[unit], query.get('slice'));
    }
    default:
      return null;
  }
}

// A server of `page` (a folder) whose API is `answer(url)`: an object, null for 404, or {status, error}.
export function pageServer(page, answer) {
  return createServer(async (request, response) => {
    const url = new URL(request.url, 'http://localhost');
    const send = (status, type, body) => {
      response.writeHead(status, {
        'Content-Type': type,
        'Content-Security-Policy': POLICY,
        'Cache-Control': 'no-store',
      });
      response.end(body);
    };
    if (url.pathname.startsWith('/api/')) {
      const found = await answer(url, request);
      const status = found === null ? 404 : (found.status ?? 200);
      const body =
        found === null ? { error: { code: 'not_found', message: 'not here' } } : (found.body ?? found);
      return send(status, 'application/json', JSON.stringify(body));
    }
    const path = normalize(url.pathname === '/' ? '/index.html' : url.pathname);
    try {
      send(200, TYPES[extname(path)] ?? 'application/octet-stream', readFileSync(join(page, path)));
    } catch {
      send(404, 'text/plain', 'not found');
    }
  });
}

async function fromDaemon(daemon, url) {
  const answer = await fetch(new URL(url.pathname + url.search, daemon));
  return { status: answer.status, body: await answer.json() };
}

function main(args) {
  const option = (name, otherwise) => (args.includes(name) ? args[args.indexOf(name) + 1] : otherwise);
  const here = fileURLToPath(new URL('..', import.meta.url));
  const page = option('--page', join(here, 'build/dev'));
  const daemon = option('--daemon', '');
  const node = new MadeUpNode({ gpus: Number(option('--gpus', 2)), tenants: Number(option('--tenants', 5)) });
  const port = Number(option('--port', 9401));
  pageServer(page, (url) => (daemon ? fromDaemon(daemon, url) : answerOf(node, url))).listen(
    port,
    '127.0.0.1',
    () => {
      console.log(`http://127.0.0.1:${port}/`);
    },
  );
}

export { answerOf };
if (process.argv[1] === fileURLToPath(import.meta.url)) main(process.argv.slice(2));
