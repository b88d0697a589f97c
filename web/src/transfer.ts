/** Conversations as a file. */
import { type Conversation, type Message, settle } from './conversation.ts';
import { newReply } from './reply.ts';

const FORMAT = 'touchstone-conversations';
const VERSION = 1;

export function exportConversations(conversations: readonly Conversation[]): string {
  return JSON.stringify({ format: FORMAT, version: VERSION, conversations }, null, 1);
}

type Json = Record<string, unknown>;

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string {
  if (typeof value !== 'string') throw new Error('a text is missing');
  return value;
}

function numbers(value: unknown): number[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'number') : [];
}

function readMessage(given: unknown): Message {
  if (!isObject(given)) throw new Error('a message is no object');
  const place = { id: text(given['id']), parent: text(given['parent']) };
  if (given['role'] === 'user') return { ...place, role: 'user', content: text(given['content']) };
  const reply = given['reply'];
  if (given['role'] !== 'assistant' || !isObject(reply)) throw new Error('a message has no known role');
  return {
    ...place,
    role: 'assistant',
    reply: {
      ...newReply(text(reply['model']), 0, { content: text(reply['content']), reasoning: text(reply['reasoning']) }),
      state: reply['state'] === 'done' || reply['state'] === 'stopped' ? reply['state'] : 'interrupted',
      arrivalsMs: numbers(reply['arrivalsMs']),
      ...(typeof reply['thoughtMs'] === 'number' ? { thoughtMs: reply['thoughtMs'] } : {}),
      ...(typeof reply['totalMs'] === 'number' ? { totalMs: reply['totalMs'] } : {}),
      ...(typeof reply['reasoningChunks'] === 'number' ? { reasoningChunks: reply['reasoningChunks'] } : {}),
    },
  };
}

function readConversation(given: unknown, id: string): Conversation {
  if (!isObject(given) || !Array.isArray(given['messages'])) throw new Error('a conversation has no messages');
  const chosen = isObject(given['chosen']) ? given['chosen'] : {};
  return settle({
    id,
    title: text(given['title']),
    createdMs: Number(given['createdMs']) || 0,
    updatedMs: Number(given['updatedMs']) || 0,
    messages: given['messages'].map(readMessage),
    chosen: Object.fromEntries(Object.entries(chosen).filter((pair): pair is [string, string] => typeof pair[1] === 'string')),
  });
}

/**
 * Reads an exported file; nothing in it is trusted. Conversations get ids of `newId`, so that none is overwritten. Token
 * probabilities are not read back. Throws Error with the reason.
 */
export function importConversations(json: string, newId: () => string): Conversation[] {
  const file: unknown = JSON.parse(json);
  if (!isObject(file) || file['format'] !== FORMAT || file['version'] !== VERSION || !Array.isArray(file['conversations'])) {
    throw new Error('not a file of conversations');
  }
  return file['conversations'].map((given) => readConversation(given, newId()));
}
