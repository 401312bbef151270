// Asks the daemon while the page is looked at.
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { ask } from '../api/client';
import { EventLog } from '../api/events';
import { Feed, type FeedClock, type FeedState } from '../api/feed';
import { readAlerts, readEvents, readGpus, readInfo, readSlices } from '../api/read';
import type { Alerts, Gpus, Info, NodeEvent, Slices } from '../api/types';
import { emptyLive, recordLive } from '../model/timeline';
import { accents, type NodeData } from './context';

const FAST_MS = 2000;
const SLOW_MS = 4000;
const MOST_NAMES = 512;

const now = (): number => Date.now() / 1000;
const CLOCK: FeedClock = {
  now,
  later: (action, ms) => window.setTimeout(action, ms),
  cancel: (timer) => window.clearTimeout(timer),
};

function useFeed<T>(asked: () => Promise<T>, intervalMs: number, arrived?: (data: T) => void) {
  const [state, setState] = useState<FeedState<T>>({ data: null, at: null, error: null });
  const feed = useMemo(() => {
    const changed = (next: FeedState<T>): void => {
      if (next.error === null && next.data !== null) arrived?.(next.data);
      setState(next);
    };
    return new Feed(asked, intervalMs, changed, CLOCK);
  }, []);
  useEffect(() => {
    // A page that nobody sees asks nothing.
    const follow = (): void => (document.hidden ? feed.stop() : feed.start());
    follow();
    document.addEventListener('visibilitychange', follow);
    return () => {
      document.removeEventListener('visibilitychange', follow);
      feed.stop();
    };
  }, []);
  return [state, feed] as const;
}

async function askEvents(log: EventLog): Promise<NodeEvent[]> {
  const question = (): string => `/api/v1/events?after=${log.after}`;
  if (!log.add(readEvents(await ask(question())))) log.add(readEvents(await ask(question())));
  return log.list();
}

function keepAccents(slices: Slices): void {
  accents.assign(slices.slices.map((slice) => slice.name));
  if (accents.size > MOST_NAMES) accents.keep(new Set(slices.slices.map((slice) => slice.name)));
}

export function useNodeData(): NodeData {
  const live = useRef(emptyLive()).current;
  const log = useRef(new EventLog()).current;
  // What the daemon's clock is ahead of ours.
  const ahead = useRef(0);
  const [clock, setClock] = useState(now());
  const [info, setInfo] = useState<Info | null>(null);
  const [gpus, gpusFeed] = useFeed<Gpus>(async () => readGpus(await ask('/api/v1/gpus')), FAST_MS);
  const [slices, slicesFeed] = useFeed<Slices>(
    async () => readSlices(await ask('/api/v1/slices')),
    FAST_MS,
    (data) => {
      if (data.time !== null) ahead.current = data.time - now();
      keepAccents(data);
      recordLive(live, now() + ahead.current, data);
    },
  );
  const [alerts, alertsFeed] = useFeed<Alerts>(async () => readAlerts(await ask('/api/v1/alerts')), SLOW_MS);
  const [events, eventsFeed] = useFeed<NodeEvent[]>(() => askEvents(log), SLOW_MS);

  useEffect(() => {
    const timer = setInterval(() => setClock(now()), 1000);
    return () => clearInterval(timer);
  }, []);
  const isThere = gpus.data !== null && gpus.error === null;
  useEffect(() => {
    if (isThere)
      ask('/api/v1/info').then(
        (answer) => setInfo(readInfo(answer)),
        () => setInfo((known) => known ?? readInfo(null)),
      );
  }, [isThere]);

  const retry = (): void => {
    for (const feed of [gpusFeed, slicesFeed, alertsFeed, eventsFeed]) feed.hurry();
  };
  const ours = (state: FeedState<Slices>): FeedState<Slices> =>
    state.at === null ? state : { ...state, at: state.at + ahead.current };
  return { gpus, slices: ours(slices), alerts, events, live, now: clock + ahead.current, retry, info };
}
