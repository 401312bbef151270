// The daemon's events, as they come: each is asked for once.
import type { EventsAnswer } from './read';
import type { NodeEvent } from './types';

export const MOST_EVENTS = 500;

export class EventLog {
  private events: NodeEvent[] = []; // the latest first
  private latest = 0;

  // The number after which events are new.
  get after(): number {
    return this.latest;
  }

  // The latest first, at most MOST_EVENTS. A daemon that has begun anew counts from one again: then false, and
  // everything is to be asked for once more.
  add(answer: EventsAnswer): boolean {
    if (answer.latest < this.latest) {
      this.events = [];
      this.latest = 0;
      return false;
    }
    const fresh = answer.events.filter((event) => event.number > this.latest).reverse();
    if (fresh.length > 0) this.events = [...fresh, ...this.events].slice(0, MOST_EVENTS);
    this.latest = answer.latest;
    return true;
  }

  list(): NodeEvent[] {
    return this.events;
  }
}

// Whom events are of: a tenant, or a GPU by its UUID, to which all belongs that tenants did on it, by its index.
export interface EventsOf {
  subject: string;
  gpu?: number;
}

// Of whom, with every word of `filter` in it, or in what the page says of it.
export function filterEvents(
  events: readonly NodeEvent[],
  of: EventsOf | null,
  filter: string,
  said: (event: NodeEvent) => string = () => '',
): NodeEvent[] {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  return events.filter((event) => {
    const isTheirs = of === null || event.subject === of.subject;
    if (!isTheirs && (of.gpu === undefined || event.details?.gpu !== of.gpu)) return false;
    const text = `${event.kind} ${event.subject} ${event.text} ${event.severity} ${
      words.length > 0 ? said(event) : ''
    }`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
