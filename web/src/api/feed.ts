// Asks for something again and again, and keeps the last answer while there is no new one.
import { ApiError } from './client';

export interface FeedState<T> {
  data: T | null; // the last that came
  at: number | null; // when, Unix time
  error: ApiError | null; // why there is nothing newer
}

export interface FeedClock {
  now(): number; // Unix time
  later(action: () => void, ms: number): number;
  cancel(timer: number): void;
}

const MAX_BACKOFF = 8; // times the interval

export class Feed<T> {
  state: FeedState<T> = { data: null, at: null, error: null };
  private timer: number | null = null;
  private failures = 0;
  private running = false;
  private asking = false;

  constructor(
    private readonly ask: () => Promise<T>,
    private readonly intervalMs: number,
    private readonly changed: (state: FeedState<T>) => void,
    private readonly clock: FeedClock,
  ) {}

  start(): void {
    if (this.running) return;
    this.running = true;
    void this.turn();
  }

  stop(): void {
    this.running = false;
    if (this.timer !== null) this.clock.cancel(this.timer);
    this.timer = null;
  }

  // Now, whatever the interval.
  hurry(): void {
    if (!this.running || this.asking) return;
    if (this.timer !== null) this.clock.cancel(this.timer);
    void this.turn();
  }

  private async turn(): Promise<void> {
    this.timer = null;
    this.asking = true;
    try {
      const data = await this.ask();
      this.failures = 0;
      this.state = { data, at: this.clock.now(), error: null };
    } catch (error) {
      this.failures += 1;
      this.state = {
        ...this.state,
        error: error instanceof ApiError ? error : new ApiError('failed', String(error)),
      };
    }
    this.asking = false;
    if (!this.running) return;
    this.changed(this.state);
    const factor = Math.min(MAX_BACKOFF, 2 ** Math.max(0, this.failures - 1));
    this.timer = this.clock.later(() => void this.turn(), this.intervalMs * factor);
  }
}
