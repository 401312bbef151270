// What the user chose, kept by the browser.
import { type Language, preferredLanguage } from './i18n';
import type { Theme } from './view/context';

const THEME = 'tessera.theme';
const LANGUAGE = 'tessera.language';

// A browser may refuse to keep anything: then it is so.
function read(key: string): string | null {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function write(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    return;
  }
}

export function loadTheme(): Theme {
  const theme = read(THEME);
  return theme === 'light' || theme === 'dark' ? theme : 'auto';
}

// boot.ts does the same for a page that is just being opened.
export function saveTheme(theme: Theme): void {
  if (theme === 'auto') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  write(THEME, theme);
}

export function loadLanguage(): Language {
  const language = read(LANGUAGE);
  return language === 'en' || language === 'zh' ? language : preferredLanguage(navigator.languages);
}

export function saveLanguage(language: Language): void {
  write(LANGUAGE, language);
}
