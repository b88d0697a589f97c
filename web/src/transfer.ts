/** Conversations as a file, and whether what comes from a file, or from storage, is one. */
import type { Conversation } from './conversation.ts';
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

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function numbers(value: unknown): number[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'number') : [];
}

function faultOfMessage(given: unknown): string | undefined {
  if (!isObject(given)) return 'a message is no object';
  const { id, parent, role, content, reply } = given;
  if (!isText(id) || !isText(parent)) return 'a message has no place';
  if (role === 'user') return isText(content) ? undefined : 'a message has no text';
  if (role !== 'assistant' || !isObject(reply)) return 'a message has no known role';
  if (![reply['model'], reply['content'], reply['reasoning']].every(isText)) return 'an answer has no text';
  return Array.isArray(reply['arrivalsMs']) && Array.isArray(reply['tokens']) ? undefined : 'an answer has no tokens';
}

/** Why what is given is no conversation that the page can show; undefined where it is one. */
function faultOf(given: unknown): string | undefined {
  if (!isObject(given) || !Array.isArray(given['messages'])) return 'a conversation has no messages';
  if (!isText(given['id']) || !isText(given['title'])) return 'a conversation has no title';
  if (typeof given['updatedMs'] !== 'number' || !isObject(given['chosen'])) return 'a conversation has no order';
  return given['messages'].map(faultOfMessage).find((fault) => fault !== undefined);
}

/** Whether a kept conversation is one that the page can show: another version may have written it. */
export function isConversation(given: unknown): given is Conversation {
  return faultOf(given) === undefined;
}

function readReply(given: Json): Json {
  const { model, content, reasoning, state, arrivalsMs, thoughtMs, totalMs, reasoningChunks } = given;
  return {
    ...newReply('', 0),
    model,
    content,
    reasoning,
    state: state === 'done' || state === 'stopped' ? state : 'interrupted',
    arrivalsMs: numbers(arrivalsMs),
    ...(typeof thoughtMs === 'number' ? { thoughtMs } : {}),
    ...(typeof totalMs === 'number' ? { totalMs } : {}),
    ...(typeof reasoningChunks === 'number' ? { reasoningChunks } : {}),
  };
}

function readMessage(given: unknown): unknown {
  if (!isObject(given)) return given;
  const { id, parent, role, content, reply } = given;
  return role === 'user' ? { id, parent, role, content } : { id, parent, role, reply: isObject(reply) ? readReply(reply) : reply };
}

/** What the page knows of a conversation; whether it is sound is still to be seen. */
function readConversation(given: unknown, id: string): unknown {
  if (!isObject(given) || !Array.isArray(given['messages'])) return given;
  const chosen = isObject(given['chosen']) ? given['chosen'] : {};
  return {
    id,
    title: given['title'],
    createdMs: Number(given['createdMs']) || 0,
    updatedMs: Number(given['updatedMs']) || 0,
    messages: given['messages'].map(readMessage),
    chosen: Object.fromEntries(Object.entries(chosen).filter(([, child]) => isText(child))),
  };
}

export interface Import {
  conversations: Conversation[];
  /** What is wrong with each of the others. */
  faults: string[];
}

/**
 * Reads an exported file; nothing in it is trusted. Conversations get ids of `newId`, so that none is overwritten. Token
 * probabilities are not read back. Throws Error with the reason where none can be read.
 */
export function importConversations(json: string, newId: () => string): Import {
  const file: unknown = JSON.parse(json);
  if (!isObject(file) || file['format'] !== FORMAT || file['version'] !== VERSION || !Array.isArray(file['conversations'])) {
    throw new Error('not a file of conversations');
  }
  const read = file['conversations'].map((given) => readConversation(given, newId()));
  const conversations = read.filter(isConversation);
  const faults = read.flatMap((one) => faultOf(one) ?? []);
  if (conversations.length === 0) throw new Error(faults[0] ?? 'there are no conversations in it');
  return { conversations, faults };
}
