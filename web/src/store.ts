/** The page's state that is not a conversation: server, settings, looks. */
import { computed, effect, signal } from '@preact/signals';
import { ApiError, listModels, type ModelInfo } from './api.ts';
import { NO_SETTINGS, type Settings } from './parameters.ts';
import type { ReplyError } from './reply.ts';
import { loadSetting, saveSetting } from './storage.ts';

export type Tab = 'chat' | 'arena' | 'report';
export type Theme = 'auto' | 'light' | 'dark';
export type Connection = 'connecting' | 'ready' | 'auth' | 'loading' | 'down';

const RECONNECT_EVERY_MS = 2_000;
const KEY_SETTING = 'touchstone.key';

export const tab = signal<Tab>('chat');
export const theme = signal<Theme>('auto');
export const connection = signal<Connection>('connecting');
export const models = signal<ModelInfo[]>([]);
/** Kept for this tab only: a key on disk outlives its purpose. */
export const apiKey = signal('');
export const settings = signal<Settings>(NO_SETTINGS);
export const chatModel = signal('');
/** What a screen reader is told, politely. */
export const announcement = signal('');

/** The first model served: the page is named after it. */
export const pageModel = computed(() => shortName(models.value[0]?.id ?? ''));

/** A model's name without the folder or organisation before it. */
export function shortName(id: string): string {
  return id.replace(/\/+$/, '').split('/').at(-1) ?? id;
}

export function findModel(id: string): ModelInfo | undefined {
  return models.value.find((model) => model.id === id);
}

let reconnectTimer: ReturnType<typeof setTimeout> | undefined;

/** Asks the server for its models; where it does not answer, asks again until it does. */
export async function connect(): Promise<void> {
  clearTimeout(reconnectTimer);
  try {
    models.value = await listModels(apiKey.value);
    if (!findModel(chatModel.value)) chatModel.value = models.value[0]?.id ?? '';
    connection.value = 'ready';
  } catch (error) {
    if (error instanceof ApiError && error.kind === 'auth') {
      connection.value = 'auth';
      return;
    }
    connection.value = error instanceof ApiError && error.kind === 'loading' ? 'loading' : 'down';
    reconnectTimer = setTimeout(() => void connect(), RECONNECT_EVERY_MS);
  }
}

/** Draws the conclusion from a request's failure. */
export function noteFailure(error: ReplyError): void {
  if (error.kind === 'auth') connection.value = 'auth';
  if (['network', 'loading', 'shutdown', 'model'].includes(error.kind)) void connect();
}

export function setApiKey(key: string): Promise<void> {
  apiKey.value = key;
  try {
    sessionStorage.setItem(KEY_SETTING, key);
  } catch {
    // Then it is asked for again after a reload.
  }
  return connect();
}

/** Takes up what the browser kept, and keeps what changes from here on. */
export function startStore(): void {
  settings.value = { ...NO_SETTINGS, ...loadSetting<Partial<Settings>>('settings', {}) };
  theme.value = loadSetting<Theme>('theme', 'auto');
  chatModel.value = loadSetting('model', '');
  try {
    apiKey.value = sessionStorage.getItem(KEY_SETTING) ?? '';
  } catch {
    // A browser that keeps nothing.
  }
  effect(() => saveSetting('settings', settings.value));
  effect(() => saveSetting('theme', theme.value));
  effect(() => saveSetting('model', chatModel.value));
  effect(() => {
    document.documentElement.dataset['theme'] = theme.value;
  });
}
