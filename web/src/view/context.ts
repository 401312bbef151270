// What every part of the page may need.
import { createContext } from 'preact';
import { useContext } from 'preact/hooks';
import type { FeedState } from '../api/feed';
import type { Alerts, Gpus, Info, NodeEvent, Slices } from '../api/types';
import { type Language, LOCALES, type Messages, MESSAGES } from '../i18n';
import { Accents } from '../model/accents';
import type { LiveSeries } from '../model/timeline';
import { emptyLive } from '../model/timeline';

export type Theme = 'auto' | 'light' | 'dark';

export interface Settings {
  language: Language;
  theme: Theme;
  setLanguage(language: Language): void;
  setTheme(theme: Theme): void;
}

export interface NodeData {
  gpus: FeedState<Gpus>;
  slices: FeedState<Slices>;
  alerts: FeedState<Alerts>;
  events: FeedState<NodeEvent[]>;
  info: Info | null; // null until it is told
  live: LiveSeries;
  now: number; // Unix time, moves on once a second
  retry(): void;
}

export interface Highlight {
  name: string | null;
  set(name: string | null): void;
}

const NOTHING = { data: null, at: null, error: null };

export const SettingsContext = createContext<Settings>({
  language: 'en',
  theme: 'auto',
  setLanguage: () => {},
  setTheme: () => {},
});
export const DataContext = createContext<NodeData>({
  gpus: NOTHING,
  slices: NOTHING,
  alerts: NOTHING,
  events: NOTHING,
  info: null,
  live: emptyLive(),
  now: 0,
  retry: () => {},
});
export const HighlightContext = createContext<Highlight>({ name: null, set: () => {} });

export const accents = new Accents();

export const useSettings = (): Settings => useContext(SettingsContext);
export const useData = (): NodeData => useContext(DataContext);
export const useHighlight = (): Highlight => useContext(HighlightContext);

export interface Words {
  t: Messages;
  locale: string;
}

export function useWords(): Words {
  const { language } = useSettings();
  return { t: MESSAGES[language], locale: LOCALES[language] };
}

// The class that carries a tenant's accent.
export function accentClass(name: string): string {
  return `accent-${accents.slotOf(name)}`;
}
