import { expect, test } from 'vitest';
import type { ApiLogprob, ChatChunk } from '../../src/api.ts';
import { parseModel } from '../../src/api.ts';
import { addChunk, contextUsed, endReply, forkAt, newReply, reasoningTokenCount, tokenCount, tokensPerSecond } from '../../src/reply.ts';
import { readEvents } from '../../src/sse.ts';

function logprob(token: string, bytes?: number[]): ApiLogprob {
  return { token, logprob: -0.1, ...(bytes ? { bytes } : {}), top_logprobs: [{ token, logprob: -0.1 }, { token: 'other', logprob: -3 }] };
}

const chunk = (delta: object, ...tokens: ApiLogprob[]): ChatChunk => ({ choices: [{ delta, logprobs: { content: tokens } }] });

function thinkingReply() {
  const reply = newReply('m', 1000);
  addChunk(reply, chunk({ role: 'assistant' }), 1010);
  addChunk(reply, chunk({ reasoning_content: 'hm' }, logprob('hm')), 1100);
  addChunk(reply, chunk({ reasoning_content: ' yes' }, logprob(' yes')), 1200);
  addChunk(reply, chunk({}, logprob('</think>')), 1250);
  addChunk(reply, chunk({ content: 'It' }, logprob('\n\nIt')), 1300);
  addChunk(reply, chunk({ content: ' is' }, logprob(' is')), 1400);
  return reply;
}

test('a reply adds up its chunks and knows when thinking ended', () => {
  const reply = thinkingReply();
  expect(reply).toMatchObject({ reasoning: 'hm yes', content: 'It is', thoughtMs: 300, arrivalsMs: [100, 200, 300, 400] });
  expect([tokenCount(reply), reasoningTokenCount(reply)]).toEqual([4, 2]);
  expect(tokensPerSecond(reply)).toBeCloseTo(10, 9);
  addChunk(reply, { choices: [], usage: { prompt_tokens: 9, completion_tokens: 7, completion_tokens_details: { reasoning_tokens: 3 } } }, 1500);
  expect([tokenCount(reply), reasoningTokenCount(reply), contextUsed(reply)]).toEqual([7, 3, 16]);
  endReply(reply, 'done', 1600);
  expect(reply).toMatchObject({ state: 'done', totalMs: 600 });
});

test('a fork keeps what came before the token, apart as thinking and answer', () => {
  const reply = thinkingReply();
  expect(forkAt(reply, 1)).toMatchObject({ reasoning: 'hm', content: '' });
  expect(forkAt(reply, 1, { text: ' no', logprob: -1 })).toMatchObject({ reasoning: 'hm no', content: '' });
  expect(forkAt(reply, 4)).toMatchObject({ reasoning: 'hm yes', content: 'It' });
  expect(forkAt(reply, 4, { text: ' was', logprob: -1 })).toMatchObject({ reasoning: 'hm yes', content: 'It was' });
});

test('a fork inside a character leaves its half out', () => {
  const reply = newReply('m', 0);
  addChunk(reply, chunk({ content: 'a' }, logprob('a')), 1);
  addChunk(reply, chunk({}, logprob('\uFFFD', [0xe4, 0xbd])), 2);
  addChunk(reply, chunk({ content: '你' }, logprob('\uFFFD', [0xa0])), 3);
  expect(forkAt(reply, 2).content).toBe('a');
  expect(forkAt(reply, 3).content).toBe('a你');
});

async function readAll(...pieces: string[]): Promise<string[]> {
  const encoder = new TextEncoder();
  const stream = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const piece of pieces) controller.enqueue(encoder.encode(piece));
      controller.close();
    },
  });
  const events: string[] = [];
  for await (const event of readEvents(stream)) events.push(event);
  return events;
}

test('events are read whatever the line ends and however they are cut', async () => {
  expect(await readAll('data: a\n\ndata:b\r\n\r\n: ping\n\nevent: x\ndata: c\ndata: d\n\n')).toEqual(['a', 'b', 'c\nd']);
  const text = 'data: {"x":"你好"}\r\n\r\ndata: [DONE]\r\n\r\n';
  for (let cut = 1; cut < text.length; cut++) expect(await readAll(text.slice(0, cut), text.slice(cut))).toEqual(['{"x":"你好"}', '[DONE]']);
  expect(await readAll(...text)).toEqual(['{"x":"你好"}', '[DONE]']);
});

test('half an event at the end is none, and one without end is refused', async () => {
  expect(await readAll('data: a\n\ndata: {"hal')).toEqual(['a']);
  await expect(readAll('x'.repeat(9_000_000), 'x'.repeat(9_000_000))).rejects.toThrow('too large');
});

test('a model of a server that says less has no defaults', () => {
  expect(parseModel({ id: 'm' })).toEqual({ id: 'm', contextTokens: undefined, defaults: {} });
  expect(parseModel({ id: 'm', max_model_len: 8, touchstone: { defaults: { temperature: 0.6000000238418579, top_p: 'x', other: 1 } } })).toEqual({
    id: 'm',
    contextTokens: 8,
    defaults: { temperature: 0.6 },
  });
});
