/** The page's words in English and Chinese. */
import { signal } from '@preact/signals';
import { loadSetting, saveSetting } from './storage.ts';
import { en, zh } from './words.ts';

export type Language = 'en' | 'zh';
export type WordKey = keyof typeof en;

/** The language of the browser's first preference that the page speaks. */
export function preferredLanguage(languages: readonly string[]): Language {
  for (const tag of languages) {
    if (/^zh\b/i.test(tag)) return 'zh';
    if (/^en\b/i.test(tag)) return 'en';
  }
  return 'en';
}

/** `{name}` in the words stands for a value. */
export function fillWords(words: string, values: Record<string, string | number>): string {
  return words.replace(/\{(\w+)\}/g, (whole, name: string) => (name in values ? String(values[name]) : whole));
}

export const language = signal<Language>('en');

export function startLanguage(): void {
  language.value = loadSetting<Language>('language', preferredLanguage(navigator.languages));
  if (language.value !== 'en' && language.value !== 'zh') language.value = 'en';
}

export function setLanguage(next: Language): void {
  language.value = next;
  saveSetting('language', next);
}

/** What browsers call the languages, for marking text and writing numbers and dates. */
export const LANGUAGE_TAGS: Record<Language, string> = { en: 'en', zh: 'zh-CN' };

export function t(key: WordKey, values: Record<string, string | number> = {}): string {
  return fillWords((language.value === 'zh' ? zh : en)[key], values);
}

function locale(): string {
  return LANGUAGE_TAGS[language.value];
}

/** A number with the language's separators and at most `digits` decimals. */
export function formatNumber(value: number, digits = 0): string {
  return value.toLocaleString(locale(), { maximumFractionDigits: digits });
}

export function formatPercent(share: number, digits = 0): string {
  return `${formatNumber(share * 100, digits)} %`;
}

export function formatMs(ms: number): string {
  if (ms < 1000) return `${formatNumber(ms, ms < 10 ? 1 : 0)} ms`;
  return `${formatNumber(ms / 1000, 1)} s`;
}

/** A moment given as in ISO 8601, in the reader's time; as it is where it is none. */
export function formatTime(iso: string): string {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? iso : time.toLocaleString(locale(), { dateStyle: 'medium', timeStyle: 'short' });
}
