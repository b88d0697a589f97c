/**
 * A small server that speaks the OpenAI dialect of `touchstone serve` and serves the built page under the real content
 * security policy. For tests, and for work on the page: node tests/mock/server.mjs 7861
 */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chooseReply, splitTokens } from './replies.mjs';

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
export const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' };

const CONTEXT_TOKENS = 4096;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function sendJson(response, status, body, headers = {}) {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
}

function sendError(response, status, message, headers, code = null) {
  sendJson(response, status, { error: { message, type: 'error', param: null, code } }, headers);
}

async function sendFile(path, response) {
  const file = normalize(path === '/' ? '/index.html' : path);
  try {
    const body = await readFile(join(DIST, file));
    response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream', 'Content-Security-Policy': POLICY });
    response.end(body);
  } catch {
    sendError(response, 404, 'there is nothing here');
  }
}

async function readBody(request) {
  let text = '';
  for await (const piece of request) text += piece;
  return JSON.parse(text);
}

/** A made-up distribution, the same for the same token. */
function describeToken(token, index) {
  const p = index % 5 === 4 ? 0.35 : 0.9;
  const entry = (text, share) => ({ token: text, logprob: Math.log(share), bytes: [...Buffer.from(text)] });
  return { ...entry(token, p), top_logprobs: [entry(token, p), entry(' other', (1 - p) * 0.7), entry(' third', (1 - p) * 0.2)] };
}

function planAnswer(body) {
  const last = body.messages.at(-1);
  const begun = body.continue_final_message === true && last.role === 'assistant' ? last : undefined;
  const prompt = body.messages.filter((message) => message.role === 'user').at(-1)?.content ?? '';
  const whole = chooseReply(prompt);
  const thought = /think|tour/.test(prompt) ? 'First I look at the question. Then I look again, and $x = 7$ it is.' : '';
  if (!begun) return { prompt, thought, content: whole };
  if (begun.reasoning_content !== undefined && begun.content === '') {
    return { prompt, thought: ' and so on', content: whole };
  }
  // A beginning that the model would not have written is followed by a remark.
  const content = whole.startsWith(begun.content) ? whole.slice(begun.content.length) : ' (goes on)';
  return { prompt, thought: '', content };
}

/** Ids of the answers under way, and whether their thinking is to end. */
const underWay = new Map();
let answerCount = 0;

async function streamAnswer(body, response, options) {
  const { prompt, thought, content } = planAnswer(body);
  const delayMs = /slow|count|long$/.test(prompt) ? 25 : options.delayMs;
  const pieces = [
    ...splitTokens(thought).map((text) => ({ reasoning_content: text })),
    ...splitTokens(content).map((text) => ({ content: text })),
  ];
  const id = `chatcmpl-${++answerCount}`;
  underWay.set(id, false);
  response.on('close', () => underWay.delete(id));
  const limit = prompt === 'fill' ? 2 : body.max_tokens ?? Infinity;
  const event = (choices, extra = {}) =>
    response.write(`data: ${JSON.stringify({ id, object: 'chat.completion.chunk', model: body.model, choices, ...extra })}\n\n`);
  response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.write(': ping\n\n');
  event([{ index: 0, delta: { role: 'assistant' }, finish_reason: null }]);
  let sent = 0;
  for (const delta of pieces) {
    if (sent >= limit || response.destroyed) break;
    if (prompt === 'cut' && sent === 2) return response.destroy();
    if (prompt === 'mid error' && sent === 2) {
      response.end(`data: ${JSON.stringify({ error: { message: 'the engine failed' } })}\n\n`);
      return;
    }
    if (prompt.startsWith('fails: ') && sent === 2) {
      const error = { message: 'what the server says', type: 'server_error', param: null, code: prompt.slice('fails: '.length) };
      response.end(`data: ${JSON.stringify({ error })}\n\ndata: [DONE]\n\n`);
      return;
    }
    if (delta.reasoning_content !== undefined && underWay.get(id)) continue;
    const text = delta.content ?? delta.reasoning_content;
    const logprobs = body.logprobs ? { content: [describeToken(text, sent)] } : null;
    event([{ index: 0, delta, logprobs, finish_reason: null }]);
    sent++;
    await sleep(typeof delayMs === 'function' ? delayMs(body.model, sent) : delayMs);
  }
  event([{ index: 0, delta: {}, finish_reason: sent >= limit && sent < pieces.length ? 'length' : 'stop' }]);
  if (body.stream_options?.include_usage) {
    const usage = {
      prompt_tokens: prompt === 'fill' ? CONTEXT_TOKENS - sent : 12 * body.messages.length,
      completion_tokens: sent,
      total_tokens: 12 * body.messages.length + sent,
      prompt_tokens_details: { cached_tokens: 0 },
      completion_tokens_details: { reasoning_tokens: splitTokens(thought).length },
    };
    event([], { usage });
  }
  response.end('data: [DONE]\n\n');
}

/**
 * options: port, models (ids), key (the API key that is wanted), delayMs (a number, or a function of model and index).
 * Resolves to { url, port, requests (bodies, in order), endedThinking (ids), aborted and ended (counts), isLoading and isBusy (may be set), close() }.
 */
export async function startMock(options = {}) {
  const settings = { port: 0, models: ['demo/distilled', 'demo/native'], key: '', delayMs: 4, ...options };
  /** @type {{ requests: any[], endedThinking: string[], aborted: number, ended: number, isLoading: boolean, isBusy: boolean }} */
  const mock = { requests: [], endedThinking: [], aborted: 0, ended: 0, isLoading: false, isBusy: false };
  const handle = async (request, response) => {
    const path = new URL(request.url, 'http://mock').pathname;
    if (request.method === 'GET' && !path.startsWith('/v1/')) return sendFile(path, response);
    if (settings.key !== '' && request.headers.authorization !== `Bearer ${settings.key}`) {
      return sendError(response, 401, 'the API key is wrong or missing');
    }
    if (mock.isLoading) return sendError(response, 503, 'the server is loading its models', { 'Retry-After': '1' }, 'loading');
    if (path === '/v1/models') {
      const data = settings.models.map((id) => ({
        id,
        object: 'model',
        max_model_len: CONTEXT_TOKENS,
        touchstone: { defaults: { temperature: 0.6, top_p: 0.95, max_tokens: 1024 } },
      }));
      return sendJson(response, 200, { object: 'list', data });
    }
    const answerNow = /^\/v1\/chat\/completions\/([^/]+)\/answer_now$/.exec(path);
    if (answerNow && request.method === 'POST') {
      if (!underWay.has(answerNow[1])) return sendError(response, 404, 'no such answer is under way');
      underWay.set(answerNow[1], true);
      mock.endedThinking.push(answerNow[1]);
      return sendJson(response, 200, { id: answerNow[1] });
    }
    if (path !== '/v1/chat/completions') return sendError(response, 404, 'there is nothing here');
    const body = await readBody(request);
    mock.requests.push(body);
    response.on('close', () => (response.writableFinished ? mock.ended++ : mock.aborted++));
    const prompt = body.messages.at(-1)?.content;
    if (prompt === 'busy' || mock.isBusy) {
      return sendError(response, 429, 'the queue is full', { 'Retry-After': prompt === 'briefly' ? '1' : '7' }, 'queue_full');
    }
    if (prompt === 'refused') return sendError(response, 400, 'temperature must be between 0 and 2');
    if (prompt === 'too long') return sendError(response, 400, 'the prompt has 5000 tokens', {}, 'context_length_exceeded');
    if (prompt === 'half broken' && body.model === settings.models[1]) return sendError(response, 500, `${body.model} broke`);
    return streamAnswer(body, response, settings);
  };
  const server = createServer((request, response) => {
    handle(request, response).catch((error) => response.destroy(error));
  });
  await new Promise((resolve) => server.listen(settings.port, '127.0.0.1', resolve));
  const { port } = server.address();
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return Object.assign(mock, { port, url: `http://127.0.0.1:${port}`, close });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const mock = await startMock({ port: Number(process.argv[2] ?? 7861), delayMs: 15 });
  console.log(mock.url);
}
