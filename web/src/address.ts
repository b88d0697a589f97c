/** The address says which view and which conversation are shown: Back, Forward and a reload lead to them. */
import { batch, effect } from '@preact/signals';
import { activeId, conversations, startChat } from './chat.ts';
import { type Tab, tab } from './store.ts';

const EMPTY_CHAT = 'new';

/** The conversation is '' for an empty chat, and undefined where the address names none. */
function readAddress(): { view: Tab; conversation: string | undefined } {
  const [view, id] = location.hash.slice(1).split('/');
  return { view: view === 'arena' || view === 'report' ? view : 'chat', conversation: id === EMPTY_CHAT ? '' : id };
}

export function addressOf(view: Tab): string {
  return view === 'chat' ? `#chat/${activeId.value || EMPTY_CHAT}` : `#${view}`;
}

function isKept(id: string | undefined): id is string {
  return conversations.peek().some((conversation) => conversation.id === id);
}

function writeAddress(): void {
  const address = addressOf(tab.value);
  if (address === location.hash) return;
  const { view, conversation } = readAddress();
  // An empty chat, and a conversation that is deleted, are nothing to go back to.
  if (view !== 'chat' || isKept(conversation)) history.pushState(null, '', address);
  else history.replaceState(null, '', address);
}

function followAddress(): void {
  const { view, conversation } = readAddress();
  batch(() => {
    tab.value = view;
    if (conversation === '' || isKept(conversation)) activeId.value = conversation;
  });
  writeAddress();
}

export async function startAddress(): Promise<void> {
  const { view, conversation } = readAddress();
  tab.value = view;
  addEventListener('hashchange', followAddress);
  await startChat(conversation);
  effect(writeAddress);
}
