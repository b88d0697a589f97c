/** The server's HTTP interface, as far as the page uses it. */
import type { ParameterName } from './parameters.ts';
import { PARAMETERS } from './parameters.ts';
import { readEvents } from './sse.ts';

export interface ModelInfo {
  id: string;
  /** Prompt and answer together; undefined where the server does not say. */
  contextTokens: number | undefined;
  defaults: Partial<Record<ParameterName, number>>;
}

export interface ApiMessage {
  role: 'system' | 'user' | 'assistant';
  content: string;
  reasoning_content?: string;
}

export interface ChatRequest {
  model: string;
  messages: ApiMessage[];
  /** The last message is the beginning of the answer. */
  continue_final_message?: true;
  [field: string]: unknown;
}

export interface Usage {
  prompt_tokens: number;
  completion_tokens: number;
  completion_tokens_details?: { reasoning_tokens?: number };
  prompt_tokens_details?: { cached_tokens?: number };
}

export interface ApiLogprob {
  token: string;
  bytes?: number[] | null;
  logprob: number;
  top_logprobs?: ApiLogprob[];
}

/** One event of a streamed chat completion. */
export interface ChatChunk {
  id?: string;
  choices?: {
    delta?: { content?: string | null; reasoning_content?: string | null };
    logprobs?: { content?: ApiLogprob[] | null } | null;
    finish_reason?: string | null;
  }[];
  usage?: Usage | null;
}

export type ErrorKind =
  | 'auth'
  | 'busy'
  | 'loading'
  | 'shutdown'
  | 'deadline'
  | 'context'
  | 'model'
  | 'refused'
  | 'server'
  | 'network';

/** What the server's codes mean, before an answer as in the middle of one. */
const KINDS: Record<string, ErrorKind> = {
  queue_full: 'busy',
  models_busy: 'busy',
  loading: 'loading',
  shutting_down: 'shutdown',
  deadline_exceeded: 'deadline',
  context_length_exceeded: 'context',
  model_not_found: 'model',
};

export class ApiError extends Error {
  constructor(
    readonly kind: ErrorKind,
    message: string,
    readonly retryAfterSeconds?: number,
    readonly status?: number,
  ) {
    super(message);
  }
}

function kindOfCode(code: string | undefined): ErrorKind | undefined {
  return code !== undefined && Object.hasOwn(KINDS, code) ? KINDS[code] : undefined;
}

function kindOfFailure(status: number, code: string | undefined): ErrorKind {
  const known = kindOfCode(code);
  if (known) return known;
  if (status === 401 || status === 403) return 'auth';
  if (status === 429 || status === 503) return 'busy';
  return status < 500 ? 'refused' : 'server';
}

/** What the member `error` of a body or an event says; `otherwise` where it says nothing. */
function readError(error: unknown, otherwise: string): { message: string; code: string | undefined } {
  const { message, code } = (error ?? {}) as Record<string, unknown>;
  return {
    message: typeof message === 'string' && message !== '' ? message : otherwise,
    code: typeof code === 'string' ? code : undefined,
  };
}

function parseErrorBody(body: string): unknown {
  try {
    return JSON.parse(body)?.error;
  } catch {
    return undefined; // a proxy's page, which nobody wants to read here
  }
}

async function send(path: string, key: string, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  if (key !== '') headers.set('Authorization', `Bearer ${key}`);
  let response: Response;
  try {
    response = await fetch(path, { ...init, headers, cache: 'no-store' });
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new ApiError('network', String(error instanceof Error ? error.message : error));
  }
  if (response.ok) return response;
  const seconds = Number(response.headers.get('Retry-After') ?? NaN);
  const body = await response.text().catch(() => '');
  const { message, code } = readError(parseErrorBody(body), `HTTP ${response.status}`);
  throw new ApiError(
    kindOfFailure(response.status, code),
    message,
    Number.isFinite(seconds) ? seconds : undefined,
    response.status,
  );
}

function asNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/** A model's entry in /v1/models; fields that other servers leave out stay undefined. */
export function parseModel(entry: Record<string, unknown>): ModelInfo {
  const own = (entry['touchstone'] ?? {}) as Record<string, unknown>;
  const given = (own['defaults'] ?? {}) as Record<string, unknown>;
  const defaults: ModelInfo['defaults'] = {};
  for (const { name } of PARAMETERS) {
    const value = asNumber(given[name]);
    // Servers hold floats of 32 bits: 0.6 comes as 0.6000000238418579.
    if (value !== undefined) defaults[name] = Number(value.toPrecision(7));
  }
  return {
    id: String(entry['id']),
    contextTokens: asNumber(entry['max_model_len']),
    defaults,
  };
}

export async function listModels(key: string, signal?: AbortSignal): Promise<ModelInfo[]> {
  const response = await send('v1/models', key, signal ? { signal } : {});
  const body = (await response.json()) as { data?: unknown };
  if (!Array.isArray(body.data)) throw new ApiError('server', 'The list of models has no data.');
  return body.data.map((entry) => parseModel(entry as Record<string, unknown>));
}

/** Ends the thinking of the answer `id`, which goes on in its own stream. An answer that has ended meanwhile needs none of it. */
export async function endThinking(id: string, key: string): Promise<void> {
  try {
    await send(`v1/chat/completions/${encodeURIComponent(id)}/answer_now`, key, { method: 'POST' });
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
}

function parseChunk(data: string): ChatChunk {
  let chunk: ChatChunk & { error?: unknown };
  try {
    chunk = JSON.parse(data);
  } catch {
    throw new ApiError('server', 'The server sent an event that is not JSON.');
  }
  if (chunk === null || typeof chunk !== 'object') throw new ApiError('server', 'The server sent an event that is no object.');
  if (chunk.error) {
    const { message, code } = readError(chunk.error, 'The server gave up.');
    throw new ApiError(kindOfCode(code) ?? 'server', message);
  }
  return chunk;
}

/** The events of one answer. Throws ApiError where the stream ends before the answer does. */
export async function* streamChat(request: ChatRequest, key: string, signal: AbortSignal): AsyncGenerator<ChatChunk> {
  const response = await send('v1/chat/completions', key, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    // The key's user may want other clients to get the thinking in another form.
    body: JSON.stringify({ ...request, stream: true, stream_options: { include_usage: true }, reasoning_format: 'reasoning_content' }),
    signal,
  });
  if (!response.body) throw new ApiError('server', 'The answer has no body.');
  let finished = false;
  try {
    for await (const data of readEvents(response.body)) {
      if (data === '[DONE]') return;
      const chunk = parseChunk(data);
      finished ||= chunk.choices?.some((choice) => choice.finish_reason) ?? false;
      yield chunk;
    }
  } catch (error) {
    if (signal.aborted || error instanceof ApiError) throw error;
    throw new ApiError('network', String(error instanceof Error ? error.message : error));
  }
  if (!finished) throw new ApiError('network', 'The stream ended early.');
}
