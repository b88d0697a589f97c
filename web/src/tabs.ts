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
