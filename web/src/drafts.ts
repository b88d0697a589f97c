/** Text that is typed and not sent: it outlives a change of view and a reload, and goes with the tab. */
import { useLayoutEffect, useRef, useState } from 'preact/hooks';
import { loadSetting, onLeaving, saveSetting } from './storage.ts';

// Input methods and dictation change a field thousands of times for one long text: storing all of it each time halts the page.
const SAVE_AFTER_MS = 300;

const drafts = new Map(Object.entries(loadSetting<Record<string, string>>('drafts', {}, 'tab')));

/** The draft of this name; undefined where there is none. */
export function findDraft(name: string): string | undefined {
  return drafts.get(name);
}

let saveTimer: ReturnType<typeof setTimeout> | undefined;

function saveDrafts(): void {
  if (saveTimer === undefined) return;
  clearTimeout(saveTimer);
  saveTimer = undefined;
  saveSetting('drafts', Object.fromEntries(drafts), 'tab');
}

/** Sees to it that no draft is lost where the page is left. */
export function startDrafts(): void {
  onLeaving(saveDrafts);
}

/** Keeps a draft; undefined drops it. */
export function keepDraft(name: string, text: string | undefined): void {
  if (text === undefined) drafts.delete(name);
  else drafts.set(name, text);
  saveTimer ??= setTimeout(saveDrafts, SAVE_AFTER_MS);
}

/** A field's text and how to change it (undefined: it is sent or given up); another name is another field. */
export function useDraft(name: string, initial: string): [string, (text: string | undefined) => void] {
  const [, redraw] = useState(0);
  const change = (text: string | undefined) => {
    keepDraft(name, text);
    redraw((count) => count + 1);
  };
  return [findDraft(name) ?? initial, change];
}

/** Whether the key is an input method's, for which Enter chooses a word and Escape drops it. */
export function isComposing(event: KeyboardEvent): boolean {
  // Safari tells of the key that ends a composition when it has ended, under the code of those within.
  return event.isComposing || event.keyCode === 229;
}

/** A form that changes a text: its field, which takes the focus when the form is opened, and how to close it. */
export function useDraftForm<Field extends HTMLElement>(name: string, initial: string, onClose: () => void) {
  const [text, setText] = useDraft(name, initial);
  const field = useRef<Field>(null);
  useLayoutEffect(() => {
    // One that a reload brought back does not take the focus.
    if (findDraft(name) !== undefined) return;
    field.current!.focus();
    // Taking the focus shows a line of the field; the form is to be seen whole.
    field.current!.closest('form')!.scrollIntoView({ block: 'nearest' });
  }, []);
  const close = () => {
    setText(undefined);
    onClose();
  };
  return { text, setText, field, close };
}
