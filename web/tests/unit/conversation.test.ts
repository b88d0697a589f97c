import { expect, test } from 'vitest';
import {
  addMessage,
  type AssistantMessage,
  childrenOf,
  endedTurns,
  mergeConversations,
  newConversation,
  pathTo,
  setReply,
  settle,
  shownPath,
  stepSibling,
  toApiMessages,
  type UserMessage,
} from '../../src/conversation.ts';
import { newReply } from '../../src/reply.ts';
import { exportConversations, importConversations } from '../../src/transfer.ts';

const user = (id: string, parent: string, content = id): UserMessage => ({ id, parent, role: 'user', content });
const assistant = (id: string, parent: string): AssistantMessage => ({
  id,
  parent,
  role: 'assistant',
  reply: { ...newReply('m', 0, { content: `answer ${id}`, reasoning: 'hm' }), state: 'done' },
});

function makeTree() {
  let tree = newConversation('c', 1);
  for (const message of [user('u1', ''), assistant('a1', 'u1'), assistant('a2', 'u1'), user('u2', 'a2')]) tree = addMessage(tree, message, 2);
  return tree;
}

const ids = (messages: { id: string }[]) => messages.map((message) => message.id);

test('the newest branch is shown, and the other can be chosen', () => {
  const tree = makeTree();
  expect(ids(shownPath(tree))).toEqual(['u1', 'a2', 'u2']);
  const other = stepSibling(tree, tree.messages[2]!, -1);
  expect(ids(shownPath(other))).toEqual(['u1', 'a1']);
  expect(ids(shownPath(tree))).toEqual(['u1', 'a2', 'u2']);
  expect(stepSibling(tree, tree.messages[2]!, 1)).toBe(tree);
});

test('a path leads to a message, whatever is shown', () => {
  expect(ids(pathTo(makeTree(), 'a1'))).toEqual(['u1', 'a1']);
  expect(ids(childrenOf(makeTree(), 'u1'))).toEqual(['a1', 'a2']);
});

test('the first message gives the title', () => {
  expect(addMessage(newConversation('c', 0), user('u', '', '  many\n words '), 0).title).toBe('many words');
  expect(makeTree().title).toBe('u1');
});

test('a request has the system prompt first and no thinking', () => {
  expect(toApiMessages(pathTo(makeTree(), 'u2'), 'Be brief.')).toEqual([
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'u1' },
    { role: 'assistant', content: 'answer a2' },
    { role: 'user', content: 'u2' },
  ]);
  expect(toApiMessages([], ' ')).toEqual([]);
});

test('what streamed when the page was closed is interrupted', () => {
  const tree = setReply(makeTree(), 'a2', newReply('m', 0));
  const [a1, a2] = settle(tree).messages.filter((message) => message.role === 'assistant');
  expect([a1!.reply.state, a2!.reply.state]).toEqual(['done', 'interrupted']);
});

test('a loop in a damaged conversation ends', () => {
  const tree = { ...newConversation('c', 0), messages: [user('a', 'b'), user('b', 'a'), user('', '')] };
  expect(shownPath(tree).length).toBeLessThan(4);
  expect(pathTo(tree, 'a').length).toBeLessThan(4);
});

test('what is exported is imported under a new id', () => {
  const tree = makeTree();
  const [read] = importConversations(exportConversations([tree]), () => 'new').conversations;
  expect(read).toMatchObject({ id: 'new', title: tree.title, chosen: tree.chosen });
  expect(toApiMessages(shownPath(read!), '')).toEqual(toApiMessages(shownPath(tree), ''));
});

test('a file that is no export is refused', () => {
  const refuse = (value: unknown) => expect(() => importConversations(JSON.stringify(value), () => 'x')).toThrow();
  refuse(null);
  refuse([]);
  refuse({ format: 'touchstone-conversations', version: 2, conversations: [] });
  refuse({ format: 'touchstone-conversations', version: 1, conversations: [{ title: 'x', messages: [{ role: 'user' }] }] });
  refuse({ format: 'touchstone-conversations', version: 1, conversations: [{ title: 'x', messages: [{ id: 'a', parent: '', role: 'robot' }] }] });
});

test('of a file the sound conversations are read, and what is wrong with the others is told', () => {
  const sound = JSON.parse(exportConversations([makeTree()]));
  const [whole] = sound.conversations;
  const turn = (message: object) => ({ ...whole, messages: [message] });
  const place = { id: 'a', parent: '' };
  const damaged = [
    null,
    { ...whole, messages: undefined },
    { ...whole, title: 7 },
    turn({ ...place, id: 1, role: 'user', content: 'x' }),
    turn({ ...place, role: 'user' }),
    turn({ ...place, role: 'assistant' }),
    turn({ ...place, role: 'assistant', reply: { model: 'm', content: 'x' } }),
  ];
  const read = importConversations(JSON.stringify({ ...sound, conversations: [...damaged, whole, whole] }), () => 'x');
  expect(read.conversations.length).toBe(2);
  expect(read.faults).toEqual([
    'a conversation has no messages',
    'a conversation has no messages',
    'a conversation has no title',
    'a message has no place',
    'a message has no text',
    'a message has no known role',
    'an answer has no text',
  ]);
});

test('two tabs that went on with the same conversation keep what both have', () => {
  const tree = makeTree();
  const mine = addMessage(addMessage(tree, user('u3', 'a2'), 3), assistant('a3', 'u3'), 3);
  const theirs = addMessage(addMessage(tree, user('u4', 'a2'), 4), assistant('a4', 'u4'), 4);
  const merged = mergeConversations(mine, theirs, () => false);
  expect(ids(merged.messages)).toEqual(['u1', 'a1', 'a2', 'u2', 'u3', 'a3', 'u4', 'a4']);
  expect(ids(shownPath(merged))).toEqual(['u1', 'a2', 'u3', 'a3']);
  expect(merged.updatedMs).toBe(4);
});

test('of an answer that two tabs have, the one that is written here, or that was not cut off, is kept', () => {
  const tree = makeTree();
  const cut = setReply(tree, 'a2', { ...newReply('m', 0, { content: 'beg' }), state: 'interrupted' });
  const content = (id: string, conversation: typeof tree) => (conversation.messages.find((message) => message.id === id) as AssistantMessage).reply.content;
  expect(content('a2', mergeConversations(tree, cut, () => false))).toBe('answer a2');
  expect(content('a2', mergeConversations(cut, tree, () => false))).toBe('answer a2');
  expect(content('a2', mergeConversations(cut, tree, (id) => id === 'a2'))).toBe('beg');
});

test('a failure that another tab has tried again is gone', () => {
  const failed: AssistantMessage = { ...assistant('a5', 'u2'), reply: { ...newReply('m', 0), state: 'failed' } };
  const theirs = addMessage(makeTree(), assistant('a6', 'u2'), 5);
  expect(ids(mergeConversations(addMessage(makeTree(), failed, 3), theirs, () => false).messages)).toEqual(ids(theirs.messages));
});

test('a failure that was tried again here does not come back from another tab', () => {
  const failed: AssistantMessage = { ...assistant('a5', 'u2'), reply: { ...newReply('m', 0), state: 'failed' } };
  const theirs = addMessage(makeTree(), failed, 3);
  const mine = addMessage(makeTree(), { ...assistant('a6', 'u2'), reply: newReply('m', 0) }, 5);
  expect(ids(mergeConversations(mine, theirs, (id) => id === 'a6').messages)).toEqual(ids(mine.messages));
  expect(ids(mergeConversations(makeTree(), theirs, () => false).messages)).toEqual(ids(theirs.messages));
});

test('a failure that nobody has tried again stays', () => {
  const failed: AssistantMessage = { ...assistant('a5', 'u2'), reply: { ...newReply('m', 0), state: 'failed' } };
  const mine = addMessage(makeTree(), failed, 3);
  expect(ids(mergeConversations(mine, endedTurns(makeTree())!, () => false).messages)).toEqual(ids(mine.messages));
});

test('a turn is told of when its answer has ended', () => {
  const tree = addMessage(makeTree(), { ...assistant('a5', 'u2'), reply: newReply('m', 0) }, 3);
  expect(ids(endedTurns(tree)!.messages)).toEqual(['u1', 'a1', 'a2']);
  expect(endedTurns(addMessage(newConversation('c', 1), user('u1', ''), 2))).toBeUndefined();
});
