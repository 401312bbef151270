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
  private failures = 0;
  private timer: number | null = null;
  // Grows with each start and stop: a question that was asked before is none of ours any more.
  private life = 0;
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
    void this.turn(++this.life);
  }

  stop(): void {
    this.running = false;
    this.life += 1;
    this.forgetTimer();
  }

  // Now, whatever the interval.
  hurry(): void {
    if (!this.running || this.asking) return;
    this.forgetTimer();
    void this.turn(this.life);
  }

  private forgetTimer(): void {
    if (this.timer !== null) this.clock.cancel(this.timer);
    this.timer = null;
  }

  private async turn(life: number): Promise<void> {
    this.timer = null;
    this.asking = true;
    const next = await this.answer();
    if (life !== this.life) return;
    this.asking = false;
    this.failures = next.error === null ? 0 : this.failures + 1;
    this.state = next;
    this.changed(next);
    const factor = Math.min(MAX_BACKOFF, 2 ** Math.max(0, this.failures - 1));
    this.timer = this.clock.later(() => void this.turn(life), this.intervalMs * factor);
  }

  private async answer(): Promise<FeedState<T>> {
    try {
      const data = await this.ask();
      return { data, at: this.clock.now(), error: null };
    } catch (error) {
      const why = error instanceof ApiError ? error : new ApiError('failed', String(error));
      return { ...this.state, error: why };
    }
  }
}
