import { en, type Messages } from './en';
import { zh } from './zh';

export type Language = 'en' | 'zh';
export type { Messages };

export const MESSAGES: Record<Language, Messages> = { en, zh };

// For Intl.
export const LOCALES: Record<Language, string> = { en: 'en-GB', zh: 'zh-CN' };

// The first of the browser's languages that there is.
export function preferredLanguage(languages: readonly string[]): Language {
  for (const language of languages) {
    if (language.toLowerCase().startsWith('zh')) return 'zh';
    if (language.toLowerCase().startsWith('en')) return 'en';
  }
  return 'en';
}
