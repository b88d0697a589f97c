/** Text that is typed and not sent: it outlives a change of view and a reload, and goes with the tab. */
import { useState } from 'preact/hooks';

const KEPT_AS = 'touchstone.drafts';

function loadDrafts(): Record<string, string> {
  try {
    return JSON.parse(sessionStorage.getItem(KEPT_AS) ?? '{}') as Record<string, string>;
  } catch {
    return {};
  }
}

const drafts = new Map(Object.entries(loadDrafts()));

/** The draft of this name; undefined where there is none. */
export function findDraft(name: string): string | undefined {
  return drafts.get(name);
}

/** Keeps a draft; undefined drops it. */
export function keepDraft(name: string, text: string | undefined): void {
  if (text === undefined) drafts.delete(name);
  else drafts.set(name, text);
  try {
    sessionStorage.setItem(KEPT_AS, JSON.stringify(Object.fromEntries(drafts)));
  } catch {
    // Then it outlives a change of view, not a reload.
  }
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
