// One request to the daemon.
import { asObject } from './read';

export type FailureKind = 'unreachable' | 'late' | 'unauthorized' | 'absent' | 'failed';

export class ApiError extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
  ) {
    super(message);
  }
}

export const TIMEOUT_MS = 8000;
const TOKEN = 'tessera.token';
let kept = '';

// The token of a daemon that listens beyond this machine: kept for this tab only.
export function storedToken(): string {
  try {
    return sessionStorage.getItem(TOKEN) ?? kept;
  } catch {
    return kept;
  }
}

export function storeToken(token: string): void {
  kept = token;
  try {
    sessionStorage.setItem(TOKEN, token);
  } catch {
    // A browser may refuse to keep anything: then it is lost with the page.
  }
}

// The answer's JSON object. Throws ApiError with the daemon's own words, none where it did not answer.
export async function ask(path: string): Promise<unknown> {
  const token = storedToken();
  const headers: Record<string, string> = { Accept: 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), TIMEOUT_MS);
  try {
    const response = await fetch(path, { headers, signal: abort.signal, cache: 'no-store' });
    if (response.ok) return await response.json();
    throw new ApiError(kindOf(response.status), await reasonOf(response));
  } catch (error) {
    if (error instanceof ApiError) throw error;
    // What browsers say of it, as "Failed to fetch", tells nobody anything.
    throw new ApiError(abort.signal.aborted ? 'late' : 'unreachable', '');
  } finally {
    clearTimeout(timer);
  }
}

function kindOf(status: number): FailureKind {
  if (status === 401 || status === 403) return 'unauthorized';
  return status === 404 ? 'absent' : 'failed';
}

async function reasonOf(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { message } = asObject(asObject(JSON.parse(text)).error);
    if (typeof message === 'string') return message;
  } catch {
    // not JSON: the status has to do
  }
  return `${response.status} ${response.statusText}`.trim();
}
