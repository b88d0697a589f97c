/** What the browser keeps: small settings in localStorage or, with the tab, in sessionStorage; conversations and votes in IndexedDB. */

const DATABASE = 'touchstone';
const VERSION = 1;
const STORES = ['conversations', 'votes'] as const;

export type StoreName = (typeof STORES)[number];

let database: Promise<IDBDatabase> | undefined;

function openDatabase(): Promise<IDBDatabase> {
  database ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, VERSION);
    request.onupgradeneeded = () => {
      for (const name of STORES) request.result.createObjectStore(name, { keyPath: 'id' });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return database;
}

/** Resolves when all is written, to what `act` returns. */
async function transact<T>(store: StoreName, mode: IDBTransactionMode, act: (objects: IDBObjectStore) => T): Promise<T> {
  const opened = await openDatabase();
  return new Promise((resolve, reject) => {
    const transaction = opened.transaction(store, mode);
    const done = act(transaction.objectStore(store));
    // A disk that is full says so only when all is to be written.
    transaction.oncomplete = () => resolve(done);
    transaction.onabort = () => reject(transaction.error);
  });
}

/** All that is kept, whoever wrote it. */
export async function loadAll(store: StoreName): Promise<unknown[]> {
  const request = await transact(store, 'readonly', (objects) => objects.getAll() as IDBRequest<unknown[]>);
  return request.result;
}

export async function save(store: StoreName, value: { id: string }): Promise<void> {
  await transact(store, 'readwrite', (objects) => objects.put(value));
}

/** All of them or, where one cannot be kept, none. */
export async function saveAll(store: StoreName, values: readonly { id: string }[]): Promise<void> {
  await transact(store, 'readwrite', (objects) => values.forEach((value) => objects.put(value)));
}

/** Calls `act` when the page is closed or hidden: the last moments in which something can be kept. */
export function onLeaving(act: () => void): void {
  addEventListener('pagehide', act);
  document.addEventListener('visibilitychange', () => document.hidden && act());
}

export async function remove(store: StoreName, id: string): Promise<void> {
  await transact(store, 'readwrite', (objects) => objects.delete(id));
}

export type Keeper = 'browser' | 'tab';

/** Throws in a browser that keeps nothing. */
function storageOf(keeper: Keeper): Storage {
  return keeper === 'tab' ? sessionStorage : localStorage;
}

/** A setting, or `otherwise` where there is none or it cannot be read. */
export function loadSetting<T>(name: string, otherwise: T, keeper: Keeper = 'browser'): T {
  try {
    const text = storageOf(keeper).getItem(`touchstone.${name}`);
    return text === null ? otherwise : (JSON.parse(text) as T);
  } catch {
    return otherwise;
  }
}

export function saveSetting(name: string, value: unknown, keeper: Keeper = 'browser'): void {
  try {
    storageOf(keeper).setItem(`touchstone.${name}`, JSON.stringify(value));
  } catch {
    // A browser that keeps nothing still shows the page.
  }
}

export function downloadText(name: string, text: string, type = 'application/json'): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  // The download has begun when the click returns, but some browsers read the URL a little later.
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
