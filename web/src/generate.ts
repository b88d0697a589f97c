/** Runs one request and publishes its reply as it grows. */
import { ApiError, type ChatRequest, streamChat } from './api.ts';
import { addChunk, endReply, type Reply, type ReplyError } from './reply.ts';

// Drawing more often costs time and shows nothing more.
const PUBLISH_EVERY_MS = 50;

function describeError(error: unknown): ReplyError {
  if (error instanceof ApiError) {
    const { kind, message, retryAfterSeconds } = error;
    return { kind, message, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) };
  }
  return { kind: 'server', message: error instanceof Error ? error.message : String(error) };
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
    for await (const chunk of streamChat(request, key, signal)) {
      addChunk(reply, chunk, performance.now());
      publishSoon();
    }
    endReply(reply, 'done', performance.now());
  } catch (error) {
    if (signal.aborted) endReply(reply, 'stopped', performance.now());
    else endReply(reply, 'failed', performance.now(), describeError(error));
  }
  clearTimeout(timer);
  publish({ ...reply });
}
