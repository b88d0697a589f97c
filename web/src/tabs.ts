/** What the browser's tabs that show the page tell each other: each would overwrite, or not know of, what another keeps. */
import type { StoreName } from './storage.ts';

/** What has changed in what is kept. */
export type Change<T> = { put: T } | { removed: string[] };

/** Hears of the other tabs' changes once `takenUp`, which reads what is kept, is done; returns how to tell them of one. */
export function joinTabs<T>(store: StoreName, takenUp: Promise<void>, hear: (change: Change<T>) => void): (change: Change<T>) => void {
  const channel = new BroadcastChannel(`touchstone.${store}`);
  channel.onmessage = async (event: MessageEvent<Change<T>>) => {
    // What is told meanwhile changes what is read.
    await takenUp;
    hear(event.data);
  };
  return (change) => channel.postMessage(change);
}

// A tab answers at once, but for one that draws a long answer.
const WRITERS_ANSWER_WITHIN_MS = 1_000;

type Word = 'who writes?' | { writes: string[] };

/**
 * Tells the other tabs which answers `written` says that this one writes. Returns how to ask them: `hear` gets the ids of the answers
 * that they write, and gets them again until they write none.
 */
export function joinWriters(written: () => string[]): (hear: (ids: Set<string>) => void) => void {
  const channel = new BroadcastChannel('touchstone.writers');
  let heard = new Set<string>();
  channel.onmessage = ({ data }: MessageEvent<Word>) => {
    if (data !== 'who writes?') data.writes.forEach((id) => heard.add(id));
    else if (written().length > 0) channel.postMessage({ writes: written() });
  };
  return function ask(hear) {
    heard = new Set();
    channel.postMessage('who writes?');
    setTimeout(() => {
      hear(heard);
      if (heard.size > 0) ask(hear);
    }, WRITERS_ANSWER_WITHIN_MS);
  };
}
