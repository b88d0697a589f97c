/** An answer as it grows: what a stream's chunks add up to. */
import type { ApiLogprob, ChatChunk, ErrorKind, Usage } from './api.ts';

export type Part = 'reasoning' | 'content';

export interface Alternative {
  text: string;
  bytes?: number[];
  logprob: number;
}

export interface Token extends Alternative {
  part: Part;
  /** The most likely tokens in its place, itself mostly among them. */
  alternatives: Alternative[];
}

export type ReplyState = 'streaming' | 'done' | 'stopped' | 'interrupted' | 'failed';

export interface ReplyError {
  kind: ErrorKind;
  message: string;
  retryAfterSeconds?: number;
}

/** A wait for a server that is busy. */
export interface Wait {
  id: string;
  /** When it is over, on the page's clock. */
  untilMs: number;
}

export interface Reply {
  model: string;
  /** The server's name for it, once its first chunk has come. */
  id?: string;
  content: string;
  reasoning: string;
  state: ReplyState;
  /** While it waits to be asked for again. */
  wait?: Wait;
  error?: ReplyError;
  finishReason?: string;
  usage?: Usage;
  /** When the request was sent, the last time where the server was busy, on the page's clock. */
  startedMs: number;
  /** When each chunk with text came, in ms since the start. Appended to in place, as is `tokens`. */
  arrivalsMs: number[];
  /** When thinking ended, in ms since the start. */
  thoughtMs?: number;
  totalMs?: number;
  reasoningChunks: number;
  tokens: Token[];
}

/** A new reply; a continuation begins with what it continues. */
export function newReply(model: string, nowMs: number, prefix: Partial<Pick<Reply, 'content' | 'reasoning' | 'tokens'>> = {}): Reply {
  return {
    model,
    content: prefix.content ?? '',
    reasoning: prefix.reasoning ?? '',
    state: 'streaming',
    startedMs: nowMs,
    arrivalsMs: [],
    reasoningChunks: 0,
    tokens: [...(prefix.tokens ?? [])],
  };
}

function toAlternative(given: ApiLogprob): Alternative {
  return { text: given.token, logprob: given.logprob, ...(given.bytes ? { bytes: given.bytes } : {}) };
}

/** Adds a chunk to a reply, in place. */
export function addChunk(reply: Reply, chunk: ChatChunk, nowMs: number): void {
  if (chunk.id !== undefined) reply.id = chunk.id;
  if (chunk.usage) reply.usage = chunk.usage;
  const choice = chunk.choices?.[0];
  if (!choice) return;
  const elapsed = nowMs - reply.startedMs;
  const reasoning = choice.delta?.reasoning_content ?? '';
  const content = choice.delta?.content ?? '';
  if (reasoning !== '') reply.reasoningChunks++;
  if (content !== '' && reply.reasoning !== '') reply.thoughtMs ??= elapsed;
  if (reasoning !== '' || content !== '') reply.arrivalsMs.push(elapsed);
  reply.reasoning += reasoning;
  reply.content += content;
  // A token whose text is held back, or that is a tag, comes without text.
  const thinks = content === '' && (reasoning !== '' || (reply.content === '' && reply.reasoning !== ''));
  for (const given of choice.logprobs?.content ?? []) {
    reply.tokens.push({
      ...toAlternative(given),
      part: thinks ? 'reasoning' : 'content',
      alternatives: (given.top_logprobs ?? []).map(toAlternative),
    });
  }
  if (choice.finish_reason) reply.finishReason = choice.finish_reason;
}

/** A reply as it is after the page was closed: it does not stream any more. */
export function settleReply(reply: Reply): Reply {
  return reply.state === 'streaming' ? { ...reply, state: 'interrupted' } : reply;
}

/** Ends a reply, in place. */
export function endReply(reply: Reply, state: ReplyState, nowMs: number, error?: ReplyError): void {
  reply.state = state;
  reply.totalMs = nowMs - reply.startedMs;
  if (reply.reasoning !== '') reply.thoughtMs ??= reply.totalMs;
  if (error !== undefined) reply.error = error;
}

/** Whether it is thinking right now. */
export function isThinking(reply: Reply): boolean {
  return reply.state === 'streaming' && reply.thoughtMs === undefined && reply.reasoning !== '';
}

/** Tokens of the answer: the server's count, or the chunks while it streams. */
export function tokenCount(reply: Reply): number {
  return reply.usage?.completion_tokens ?? reply.arrivalsMs.length;
}

export function reasoningTokenCount(reply: Reply): number {
  return reply.usage?.completion_tokens_details?.reasoning_tokens ?? reply.reasoningChunks;
}

/** Tokens a second after the first; undefined until there are two. */
export function tokensPerSecond(reply: Reply): number | undefined {
  const first = reply.arrivalsMs[0];
  const last = reply.arrivalsMs.at(-1);
  if (first === undefined || last === undefined || last <= first) return undefined;
  return ((tokenCount(reply) - 1) * 1000) / (last - first);
}

export function contextUsed(reply: Reply): number | undefined {
  return reply.usage && reply.usage.prompt_tokens + reply.usage.completion_tokens;
}

function joinTexts(tokens: readonly Alternative[]): string {
  const encoder = new TextEncoder();
  const bytes = tokens.flatMap((token) => token.bytes ?? [...encoder.encode(token.text)]);
  // A cut may fall inside a character; its half is left out.
  return new TextDecoder().decode(new Uint8Array(bytes)).replace(/\uFFFD+$/, '');
}

export interface Fork {
  content: string;
  reasoning: string;
  tokens: Token[];
}

/** The answer up to token `index`, which `instead` replaces where it is given. The tag that ends thinking is no part of it. */
export function forkAt(reply: Reply, index: number, instead?: Alternative): Fork {
  const tokens = reply.tokens.slice(0, index);
  const next = reply.tokens[index];
  if (next && instead) tokens.push({ ...instead, part: next.part, alternatives: next.alternatives });
  const content = joinTexts(tokens.filter((token) => token.part === 'content')).replace(/^\n+/, '');
  const thought = joinTexts(tokens.filter((token) => token.part === 'reasoning')).split('</think>')[0]!;
  const reasoning = content === '' ? thought : thought.trimEnd();
  return { content, reasoning, tokens };
}
