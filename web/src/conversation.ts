/** A conversation is a tree of messages: siblings are branches, and `chosen` names the one that is shown. Pure functions. */
import type { ApiMessage } from './api.ts';
import { type Reply, settleReply } from './reply.ts';

export interface UserMessage {
  id: string;
  /** Id of the message before it; '' for the first. */
  parent: string;
  role: 'user';
  content: string;
}

export interface AssistantMessage {
  id: string;
  parent: string;
  role: 'assistant';
  reply: Reply;
}

export type Message = UserMessage | AssistantMessage;

export interface Conversation {
  id: string;
  title: string;
  createdMs: number;
  updatedMs: number;
  /** In the order of their making. */
  messages: Message[];
  /** Parent's id to the child that is shown; the newest where it is absent. */
  chosen: Record<string, string>;
}

const TITLE_CHARACTERS = 60;

export function newConversation(id: string, nowMs: number): Conversation {
  return { id, title: '', createdMs: nowMs, updatedMs: nowMs, messages: [], chosen: {} };
}

export function childrenOf(conversation: Conversation, parent: string): Message[] {
  return conversation.messages.filter((message) => message.parent === parent);
}

export function findMessage(conversation: Conversation, id: string): Message | undefined {
  return conversation.messages.find((message) => message.id === id);
}

/** The messages that are shown, first to last. */
export function shownPath(conversation: Conversation): Message[] {
  const path: Message[] = [];
  const seen = new Set<string>();
  let parent = '';
  for (;;) {
    const children = childrenOf(conversation, parent);
    const next = children.find((child) => child.id === conversation.chosen[parent]) ?? children.at(-1);
    if (!next || seen.has(next.id)) return path;
    seen.add(next.id);
    path.push(next);
    parent = next.id;
  }
}

/** The messages from the first to `id`, whatever is shown. */
export function pathTo(conversation: Conversation, id: string): Message[] {
  const path: Message[] = [];
  let message = findMessage(conversation, id);
  while (message && path.length < conversation.messages.length) {
    path.unshift(message);
    message = findMessage(conversation, message.parent);
  }
  return path;
}

/** Adds a message and shows it. */
export function addMessage(conversation: Conversation, message: Message, nowMs: number): Conversation {
  const title =
    conversation.title === '' && message.role === 'user'
      ? message.content.trim().replace(/\s+/g, ' ').slice(0, TITLE_CHARACTERS)
      : conversation.title;
  return {
    ...conversation,
    title,
    updatedMs: nowMs,
    messages: [...conversation.messages, message],
    chosen: { ...conversation.chosen, [message.parent]: message.id },
  };
}

export function setReply(conversation: Conversation, id: string, reply: Reply): Conversation {
  return {
    ...conversation,
    messages: conversation.messages.map((message) =>
      message.id === id && message.role === 'assistant' ? { ...message, reply } : message,
    ),
  };
}

/** Shows the sibling `step` places from the message. */
export function stepSibling(conversation: Conversation, message: Message, step: number): Conversation {
  const siblings = childrenOf(conversation, message.parent);
  const next = siblings[siblings.findIndex((sibling) => sibling.id === message.id) + step];
  if (!next) return conversation;
  return { ...conversation, chosen: { ...conversation.chosen, [message.parent]: next.id } };
}

/** The messages as a request carries them. Earlier thinking is left out, as the models' templates want it. */
export function toApiMessages(path: readonly Message[], system: string): ApiMessage[] {
  const messages: ApiMessage[] = path.map((message) =>
    message.role === 'user'
      ? { role: 'user', content: message.content }
      : { role: 'assistant', content: message.reply.content },
  );
  return system.trim() === '' ? messages : [{ role: 'system', content: system }, ...messages];
}

/** The turns whose answers have ended; undefined where there is none. */
export function endedTurns(conversation: Conversation): Conversation | undefined {
  const ended = conversation.messages.filter((message) => message.role === 'user' || message.reply.state !== 'streaming');
  const parents = new Set(ended.map((message) => message.parent));
  const messages = ended.filter((message) => message.role === 'assistant' || parents.has(message.id));
  return messages.length === 0 ? undefined : { ...conversation, messages };
}

/** Whether an answer failed before its first word. */
function isFailure(message: Message): boolean {
  return message.role === 'assistant' && message.reply.state === 'failed' && message.reply.content === '' && message.reply.reasoning === '';
}

/** The conversation as the next attempt at an answer to `parent` finds it: failures give way. */
export function dropFailures(conversation: Conversation, parent: string): Conversation {
  return { ...conversation, messages: conversation.messages.filter((message) => message.parent !== parent || !isFailure(message)) };
}

/** Whether `fuller` has messages that `other` lacks. */
export function hasMore(fuller: Conversation, other: Conversation): boolean {
  return fuller.messages.some((message) => !findMessage(other, message.id));
}

/**
 * The messages of both, where another tab of the browser went on with the conversation as well: theirs in their newer form, but
 * for those that `isOwn` tells to be written here. What is shown here stays shown.
 */
export function mergeConversations(mine: Conversation, theirs: Conversation, isOwn: (id: string) => boolean): Conversation {
  const known = new Map(theirs.messages.map((message) => [message.id, message]));
  const isCut = (message: Message) => message.role === 'assistant' && message.reply.state === 'interrupted';
  // A failure is dropped when it is tried again, in whichever tab.
  const isRetried = (message: Message, others: Message[]) =>
    isFailure(message) && others.some((other) => other.parent === message.parent && other.id !== message.id);
  const kept = mine.messages
    .filter((message) => known.has(message.id) || isOwn(message.id) || !isRetried(message, theirs.messages))
    .map((message) => {
      const other = known.get(message.id);
      return !other || isOwn(message.id) || (isCut(other) && !isCut(message)) ? message : other;
    });
  const here = new Set(kept.map((message) => message.id));
  return {
    ...theirs,
    updatedMs: Math.max(mine.updatedMs, theirs.updatedMs),
    messages: [...kept, ...theirs.messages.filter((message) => !here.has(message.id) && !isRetried(message, kept))],
    chosen: { ...theirs.chosen, ...mine.chosen },
  };
}

/** A conversation as it is after the page was closed: nothing streams any more. */
export function settle(conversation: Conversation): Conversation {
  return {
    ...conversation,
    messages: conversation.messages.map((message) =>
      message.role === 'assistant' ? { ...message, reply: settleReply(message.reply) } : message,
    ),
  };
}
