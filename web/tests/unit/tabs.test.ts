/** Tabs of one browser: each loads the page's code anew, and all share the channel and what is kept. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { addMessage, type AssistantMessage, type Conversation, newConversation } from '../../src/conversation.ts';
import { newReply, type Reply } from '../../src/reply.ts';

type Chat = typeof import('../../src/chat.ts');

const kept = new Map<string, Conversation>();
let posts: unknown[] = [];
let channels: Channel[] = [];

class Channel {
  onmessage: ((event: { data: unknown }) => void) | undefined;
  constructor(private readonly name: string) {
    channels.push(this);
  }
  postMessage(data: unknown): void {
    posts.push(data);
    const copy = structuredClone(data);
    for (const other of channels) if (other !== this && other.name === this.name) setTimeout(() => other.onmessage?.({ data: copy }), 1);
  }
}

async function openTab(): Promise<Chat> {
  vi.resetModules();
  vi.doMock('../../src/storage.ts', async (original) => ({
    ...(await original<typeof import('../../src/storage.ts')>()),
    loadAll: async () => structuredClone([...kept.values()]),
    save: async (_store: string, value: Conversation) => void kept.set(value.id, structuredClone(value)),
  }));
  const chat = await import('../../src/chat.ts');
  await chat.startChat();
  return chat;
}

/** What the tab that was opened last asks from here on is not answered, nor refused. */
async function leaveUnanswered(): Promise<void> {
  const { chatModel } = await import('../../src/store.ts');
  chatModel.value = 'm';
  vi.stubGlobal('fetch', () => new Promise(() => undefined));
}

const ids = (conversation: Conversation | undefined) => conversation?.messages.map((message) => message.id);

function talk(...messages: [id: string, parent: string, reply?: Partial<Reply>][]): Conversation {
  return messages.reduce(
    (conversation, [id, parent, reply]) =>
      addMessage(
        conversation,
        reply ? { id, parent, role: 'assistant', reply: { ...newReply('m', 0), ...reply } } : { id, parent, role: 'user', content: id },
        1,
      ),
    newConversation('c', 1),
  );
}

const done: Partial<Reply> = { state: 'done', content: 'answer' };
const failed: Partial<Reply> = { state: 'failed' };

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('BroadcastChannel', Channel);
  vi.stubGlobal('addEventListener', () => undefined);
  vi.stubGlobal('document', { addEventListener: () => undefined });
  kept.clear();
  posts = [];
  channels = [];
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  vi.doUnmock('../../src/storage.ts');
});

test('tabs that all hold a question without an answer fall silent', async () => {
  kept.set('c', talk(['u1', ''], ['a1', 'u1', done], ['u2', 'a1']));
  const [one, other] = [await openTab(), await openTab()];
  one.renameConversation(one.conversations.value[0]!, 'renamed');
  await vi.advanceTimersByTimeAsync(10_000);
  expect(posts.length).toBe(1);
  for (const tab of [one, other]) expect(ids(tab.conversations.value[0])).toEqual(['u1', 'a1', 'u2']);
  expect(ids(kept.get('c'))).toEqual(['u1', 'a1', 'u2']);
});

test('a tab that has tried a failure again tells the one that still has it', async () => {
  kept.set('c', talk(['u1', ''], ['a1', 'u1', failed]));
  const old = await openTab();
  kept.set('c', talk(['u1', ''], ['a2', 'u1', done]));
  const retried = await openTab();
  old.renameConversation(old.conversations.value[0]!, 'renamed');
  await vi.advanceTimersByTimeAsync(10_000);
  for (const tab of [old, retried]) expect(ids(tab.conversations.value[0])).toEqual(['u1', 'a2']);
  expect(ids(kept.get('c'))).toEqual(['u1', 'a2']);
  expect(posts.length).toBe(2);
});

test('trying a failure again tells nothing until the new answer has ended', async () => {
  kept.set('c', talk(['u1', ''], ['a1', 'u1', done], ['u2', 'a1'], ['a2', 'u2', failed]));
  const [one, other] = [await openTab(), await openTab()];
  await leaveUnanswered();
  void other.regenerate(other.shownMessages.value.at(-1) as AssistantMessage);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(posts).toEqual([]);
  expect(ids(one.conversations.value[0])).toEqual(['u1', 'a1', 'u2', 'a2']);
  expect(other.streaming.value).toBe(true);
  expect(ids(other.conversations.value[0])).not.toContain('a2');
  expect(ids(kept.get('c'))).toEqual(ids(other.conversations.value[0]));
});

test('a question is kept with the answer that is begun, for a tab that is opened then', async () => {
  const asking = await openTab();
  await leaveUnanswered();
  void asking.sendMessage('question');
  await vi.advanceTimersByTimeAsync(0);
  const other = await openTab();
  expect(other.shownMessages.value.map((message) => message.role)).toEqual(['user', 'assistant']);
  expect(other.isWrittenElsewhere(other.shownMessages.value.at(-1) as AssistantMessage)).toBe(true);
});

test('so is one that is asked right behind another change', async () => {
  kept.set('c', talk(['u1', ''], ['a1', 'u1', done]));
  const asking = await openTab();
  await leaveUnanswered();
  asking.renameConversation(asking.conversations.value[0]!, 'renamed');
  await vi.advanceTimersByTimeAsync(0);
  void asking.sendMessage('question');
  await vi.advanceTimersByTimeAsync(0);
  const other = await openTab();
  expect(other.shownMessages.value.map((message) => message.role)).toEqual(['user', 'assistant', 'user', 'assistant']);
});
