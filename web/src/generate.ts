/** Runs one request and publishes its reply as it grows. */
import { ApiError, type ChatRequest, streamChat } from './api.ts';
import { newId } from './ids.ts';
import { addChunk, endReply, type Reply, type ReplyError } from './reply.ts';

// Drawing more often costs time and shows nothing more.
const PUBLISH_EVERY_MS = 50;
// Where a busy server does not say when to come again.
const RETRY_AFTER_SECONDS = 5;
// Who is told to wait for longer has left; who is sent away this often is not wanted.
const RETRY_AFTER_SECONDS_MAX = 300;
const ATTEMPTS_MAX = 20;

/** Ends the waits that go on, by their ids. */
const waits = new Map<string, () => void>();

/** Asks again at once for the reply that waits. */
export function endWait(id: string): void {
  waits.get(id)?.();
}

/** How long to wait before the request is sent again; undefined: it is not. */
function secondsToWait(error: unknown, reply: Reply, attempts: number): number | undefined {
  const hasBegun = reply.arrivalsMs.length > 0;
  if (!(error instanceof ApiError) || error.kind !== 'busy' || hasBegun || attempts >= ATTEMPTS_MAX) return undefined;
  const seconds = Math.max(1, error.retryAfterSeconds ?? RETRY_AFTER_SECONDS);
  return seconds <= RETRY_AFTER_SECONDS_MAX ? seconds : undefined;
}

/** Waits, until it is told to end or stopped; `publish` shows that it does. */
async function waitFor(seconds: number, reply: Reply, signal: AbortSignal, publish: (reply: Reply) => void): Promise<void> {
  const id = newId();
  const untilMs = performance.now() + seconds * 1000;
  publish({ ...reply, wait: { id, untilMs } });
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, seconds * 1000);
    const end = () => {
      clearTimeout(timer);
      resolve();
    };
    waits.set(id, end);
    signal.addEventListener('abort', end, { once: true });
  });
  waits.delete(id);
}

function describeError(error: unknown): ReplyError {
  if (error instanceof ApiError) {
    const { kind, message, retryAfterSeconds } = error;
    return { kind, message, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
  }
  return { kind: 'server', message: error instanceof Error ? error.message : String(error) };
}

/** Streams the answer into `reply`. A busy server is asked again. */
async function stream(
  reply: Reply,
  request: ChatRequest,
  key: string,
  signal: AbortSignal,
  publish: (reply: Reply) => void,
  publishSoon: () => void,
): Promise<void> {
  for (let attempts = 1; ; attempts++) {
    try {
      for await (const chunk of streamChat(request, key, signal)) {
        addChunk(reply, chunk, performance.now());
        publishSoon();
      }
      return;
    } catch (error) {
      const seconds = secondsToWait(error, reply, attempts);
      if (seconds === undefined || signal.aborted) throw error;
      await waitFor(seconds, reply, signal, publish);
      if (signal.aborted) throw error;
      reply.startedMs = performance.now();
      publish({ ...reply });
    }
  }
}

/** Fills `reply`, whatever happens; `publish` gets copies of it, the last one when it has ended. */
export async function generateReply(
  reply: Reply,
  request: ChatRequest,
  key: string,
  signal: AbortSignal,
  publish: (reply: Reply) => void,
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const publishSoon = () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      publish({ ...reply });
    }, PUBLISH_EVERY_MS);
  };
  try {
    await stream(reply, request, key, signal, publish, publishSoon);
    endReply(reply, 'done', performance.now());
  } catch (error) {
    // An answer that was given up before the busy server took it has not begun to be one.
    const isBusy = error instanceof ApiError && error.kind === 'busy';
    if (signal.aborted && !isBusy) endReply(reply, 'stopped', performance.now());
    else endReply(reply, 'failed', performance.now(), describeError(error));
  }
  clearTimeout(timer);
  publish({ ...reply });
}
