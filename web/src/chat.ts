/** The conversations, and what a person can do with them. */
import { computed, signal } from '@preact/signals';
import type { ChatRequest } from './api.ts';
import {
  addMessage,
  type AssistantMessage,
  type Conversation,
  dropFailures,
  endedTurns,
  hasMore,
  mergeConversations,
  type Message,
  newConversation,
  pathTo,
  setReply,
  settle,
  shownPath,
  stepSibling,
  toApiMessages,
} from './conversation.ts';
import { findDraft, keepDraft } from './drafts.ts';
import { errorTitle } from './errors.ts';
import { generateReply } from './generate.ts';
import { t } from './i18n.ts';
import { newId } from './ids.ts';
import { requestFields } from './parameters.ts';
import { type Alternative, type Fork, forkAt, newReply, tokenCount } from './reply.ts';
import { loadAll, onLeaving, remove, save, saveAll } from './storage.ts';
import { announcement, apiKey, chatModel, noteFailure, settings } from './store.ts';
import { type Change, joinTabs, joinWriters } from './tabs.ts';
import { isConversation } from './transfer.ts';

const SAVE_EVERY_MS = 400;
// Copying a long conversation halts the page: saving may take this share of the time, within bounds.
const SAVING_SHARE = 0.05;
const SAVE_EVERY_MS_MAX = 10_000;

export const conversations = signal<Conversation[]>([]);
export const activeId = signal('');
/** Whether the browser keeps conversations at all. */
export const keepsConversations = signal(true);
/** How many are kept that this page cannot read: another version wrote them, or they are damaged. */
export const unreadConversations = signal(0);

/** Under which name a conversation's next message is kept while it is written. */
export const chatDraft = (id: string) => `chat/${id}`;

export const active = computed(() => conversations.value.find((conversation) => conversation.id === activeId.value));
export const shownMessages = computed(() => (active.value ? shownPath(active.value) : []));
export const streaming = computed(() => shownMessages.value.some(isStreaming));

function isStreaming(message: Message): boolean {
  return message.role === 'assistant' && message.reply.state === 'streaming';
}

/** The ids of the answers that other tabs write or, until those have been asked, may write. */
const writtenElsewhere = signal<ReadonlySet<string>>(new Set());

/** Those of which other tabs have said so. */
let heardWritten: ReadonlySet<string> = new Set();

/** Whether another tab writes the answer, which this one has read half of. */
export function isWrittenElsewhere(message: AssistantMessage): boolean {
  return message.reply.state === 'interrupted' && writtenElsewhere.value.has(message.id);
}

let tellTabs: ((change: Change<Conversation>) => void) | undefined;

const running = new Map<string, AbortController>();
const unsaved = new Set<string>();
let saveTookMs = 0;
let saveTimer: ReturnType<typeof setTimeout> | undefined;

function find(id: string): Conversation | undefined {
  return conversations.value.find((conversation) => conversation.id === id);
}

function isWrittenHere(conversation: Conversation): boolean {
  return conversation.messages.some((message) => running.has(message.id));
}

async function keep(conversation: Conversation): Promise<void> {
  const beganMs = performance.now();
  try {
    await save('conversations', conversation);
  } catch {
    keepsConversations.value = false;
  }
  saveTookMs = performance.now() - beganMs;
}

function saveNow(): void {
  for (const id of unsaved) {
    const conversation = find(id);
    if (!conversation) continue;
    void keep(conversation);
    // An answer under way is told of when it has ended.
    const ended = isWrittenHere(conversation) ? undefined : endedTurns(conversation);
    if (ended) tellTabs?.({ put: ended });
  }
  unsaved.clear();
}

/** Puts conversations in the places of those of their ids, or beside the others: the newest is the first. */
function list(added: readonly Conversation[]): void {
  const ids = new Set(added.map((conversation) => conversation.id));
  const others = conversations.value.filter((conversation) => !ids.has(conversation.id));
  conversations.value = [...added, ...others].sort((a, b) => b.updatedMs - a.updatedMs);
}

function put(conversation: Conversation): void {
  list([conversation]);
  unsaved.add(conversation.id);
  if (saveTimer !== undefined) return;
  // At once, since the page may be closed at any time, but all of one deed together; while an answer streams, not for each of its words.
  queueMicrotask(saveNow);
  saveTimer = setTimeout(() => {
    saveTimer = undefined;
    saveNow();
  }, Math.min(SAVE_EVERY_MS_MAX, Math.max(SAVE_EVERY_MS, saveTookMs / SAVING_SHARE)));
}

function forget(id: string): void {
  find(id)?.messages.forEach((message) => running.get(message.id)?.abort());
  conversations.value = conversations.value.filter((conversation) => conversation.id !== id);
  unsaved.delete(id);
  if (activeId.value === id) activeId.value = conversations.value[0]?.id ?? '';
}

function hearTab(change: Change<Conversation>): void {
  if ('removed' in change) return change.removed.forEach(forget);
  const theirs = change.put;
  const mine = find(theirs.id);
  if (!mine) return list([theirs]);
  const merged = mergeConversations(mine, theirs, (id) => running.has(id));
  list([merged]);
  // What the other tab has kept lacks something. It is told only of what it can tell in turn: else the two would never be done.
  const ended = endedTurns(merged);
  if (ended && hasMore(ended, theirs)) put(merged);
  else if (hasMore(merged, theirs)) void keep(merged);
}

/** The ids of the answers that are not complete: the page was closed, or another tab writes them. */
function brokenOff(conversation: Conversation): string[] {
  const replies = conversation.messages.filter((message) => message.role === 'assistant');
  return replies.filter(({ reply }) => reply.state === 'streaming' || reply.state === 'interrupted').map(({ id }) => id);
}

async function takeUpKept(asked: string | undefined): Promise<void> {
  const draft = findDraft(chatDraft(''));
  try {
    const kept = await loadAll('conversations');
    const sound = kept.filter(isConversation);
    writtenElsewhere.value = new Set(sound.flatMap(brokenOff));
    unreadConversations.value = kept.length - sound.length;
    // What was asked before it was read is newer.
    const begun = conversations.value;
    list(sound.filter(({ id }) => !find(id)).map(settle));
    // Who has begun to write goes on where it stands.
    if (begun.length > 0 || findDraft(chatDraft('')) !== draft || asked === '') return;
    activeId.value = ((asked !== undefined && find(asked)) || conversations.value[0])?.id ?? '';
  } catch {
    keepsConversations.value = false;
  }
}

/** Other tabs write these answers, and no more. */
function hearWriters(ids: Set<string>): void {
  const left = [...heardWritten].filter((id) => !ids.has(id));
  heardWritten = ids;
  writtenElsewhere.value = ids;
  if (left.length > 0) void takeUpMore(left);
}

/** A tab that was closed in the midst of one of these answers has told nobody how far it came, but kept it. */
async function takeUpMore(ended: string[]): Promise<void> {
  const cut = conversations.value.filter((conversation) => brokenOff(conversation).some((id) => ended.includes(id)));
  if (cut.length === 0) return;
  const kept = await loadAll('conversations').catch((): unknown[] => []);
  for (const theirs of kept.filter(isConversation).map(settle)) {
    const mine = find(theirs.id);
    if (mine && cut.some(({ id }) => id === mine.id)) list([mergeConversations(mine, theirs, (id) => running.has(id))]);
  }
}

/** Takes up the kept conversations, and shows the one that is asked for, else the newest; '' asks for an empty chat. */
export async function startChat(asked?: string): Promise<void> {
  // Leaving in mid-answer keeps what has come so far.
  onLeaving(saveNow);
  const takenUp = takeUpKept(asked);
  tellTabs = joinTabs('conversations', takenUp, hearTab);
  const askWriters = joinWriters(() => [...running.keys()]);
  await takenUp;
  if (writtenElsewhere.value.size > 0) askWriters(hearWriters);
}

/** Has the model answer the message `parent`, from the beginning or onward from `prefix`; failed attempts give way. */
async function answer(conversationId: string, parent: string, prefix?: Fork): Promise<void> {
  const conversation = find(conversationId);
  const model = chatModel.value;
  if (!conversation || model === '') return;
  const messages = toApiMessages(pathTo(conversation, parent), settings.value.system);
  const request: ChatRequest = { model, messages, ...requestFields(settings.value) };
  if (prefix) {
    const { content, reasoning } = prefix;
    messages.push({ role: 'assistant', content, ...(reasoning === '' ? {} : { reasoning_content: reasoning }) });
    request.continue_final_message = true;
  }
  announcement.value = '';
  const id = newId();
  const reply = newReply(model, performance.now(), prefix);
  const controller = new AbortController();
  running.set(id, controller);
  put(addMessage(dropFailures(conversation, parent), { id, parent, role: 'assistant', reply: { ...reply } }, Date.now()));
  // A tab that is opened meanwhile has to know that an answer is begun.
  saveNow();
  await generateReply(reply, request, apiKey.value, controller.signal, (grown) => {
    // First, since an answer that is written here is not told of.
    if (grown.state !== 'streaming') running.delete(id);
    const current = find(conversationId);
    if (current) put(setReply(current, id, grown));
  });
  saveNow();
  if (reply.error) noteFailure(reply.error);
  if (reply.error) announcement.value = t('announceFailed', { reason: errorTitle(reply.error) });
  else announcement.value = reply.state === 'stopped' ? t('stopped') : t('announceDone', { tokens: tokenCount(reply) });
}

export function sendMessage(content: string): Promise<void> {
  let conversation = active.value;
  if (!conversation) {
    conversation = newConversation(newId(), Date.now());
    activeId.value = conversation.id;
  }
  const id = newId();
  const parent = shownPath(conversation).at(-1)?.id ?? '';
  put(addMessage(conversation, { id, parent, role: 'user', content }, Date.now()));
  return answer(conversation.id, id);
}

/** A new branch that begins with `content` in the message's place. */
export function resendEdited(message: Message, content: string): Promise<void> {
  const conversation = active.value!;
  const id = newId();
  put(addMessage(conversation, { id, parent: message.parent, role: 'user', content }, Date.now()));
  return answer(conversation.id, id);
}

/** Another answer beside this one, or in its place if it failed before its first word. */
export function regenerate(message: AssistantMessage): Promise<void> {
  return answer(activeId.value, message.parent);
}

/** Goes on from where the answer broke off, in a new branch. */
export function continueReply(message: AssistantMessage): Promise<void> {
  const { content, reasoning, tokens } = message.reply;
  return answer(activeId.value, message.parent, { content, reasoning, tokens });
}

/** Goes on from token `index`, which `instead` replaces, in a new branch. */
export function forkReply(message: AssistantMessage, index: number, instead?: Alternative): Promise<void> {
  return answer(activeId.value, message.parent, forkAt(message.reply, index, instead));
}

export function stopAnswers(): void {
  for (const message of shownMessages.value) running.get(message.id)?.abort();
}

export function showSibling(message: Message, step: number): void {
  if (active.value) put(stepSibling(active.value, message, step));
}

export function renameConversation(conversation: Conversation, title: string): void {
  put({ ...conversation, title });
}

export function deleteConversation(conversation: Conversation): void {
  forget(conversation.id);
  keepDraft(chatDraft(conversation.id), undefined);
  tellTabs?.({ removed: [conversation.id] });
  remove('conversations', conversation.id).catch(() => (keepsConversations.value = false));
}

/** Adds conversations, which are shown when they are kept, and goes to the first. */
export async function addConversations(added: readonly Conversation[]): Promise<void> {
  try {
    await saveAll('conversations', added);
  } catch {
    keepsConversations.value = false;
  }
  list(added);
  activeId.value = added[0]?.id ?? activeId.value;
  for (const conversation of added) tellTabs?.({ put: conversation });
}
