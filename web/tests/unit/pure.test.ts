import { expect, test } from 'vitest';
import { bucketMaxima } from '../../src/components/timing_bars.tsx';
import { diffWords, splitWords } from '../../src/diff.ts';
import { fillWords, preferredLanguage } from '../../src/i18n.ts';
import { parseParameter, PARAMETERS, requestFields } from '../../src/parameters.ts';
import { isDiffering, parseReport } from '../../src/report.ts';
import { entropyBits, intervals, quantile, wilsonInterval } from '../../src/stats.ts';
import { shortName } from '../../src/store.ts';
import { en, zh } from '../../src/words.ts';

test('the Wilson interval is that of the textbook', () => {
  const [low, high] = wilsonInterval(36, 50);
  expect(low).toBeCloseTo(0.5833, 4);
  expect(high).toBeCloseTo(0.8253, 4);
  expect(wilsonInterval(0, 0)).toEqual([0, 1]);
  expect(wilsonInterval(0, 10)[0]).toBe(0);
  expect(wilsonInterval(10, 10)[1]).toBeCloseTo(1, 9);
});

test('quantiles interpolate', () => {
  expect(quantile([4, 1, 3, 2], 0.5)).toBe(2.5);
  expect(quantile([7], 0.95)).toBe(7);
  expect(quantile([], 0.5)).toBeUndefined();
});

test('the entropy of a fair coin is one bit, and unknown outcomes count as one', () => {
  expect(entropyBits([Math.log(0.5), Math.log(0.5)])).toBeCloseTo(1, 9);
  expect(entropyBits([Math.log(0.5)])).toBeCloseTo(1, 9);
  expect(entropyBits([0])).toBe(0);
});

test('intervals are differences of neighbours, and a stall survives bucketing', () => {
  expect(intervals([10, 12, 17])).toEqual([2, 5]);
  expect(intervals([])).toEqual([]);
  expect(bucketMaxima([1, 9, 1, 1, 1], 2)).toEqual([9, 1]);
});

test('words joined again are the text, also in Chinese', () => {
  for (const text of ['The answer is 7.', '答案是七。', '  two  spaces\n', '']) expect(splitWords(text).join('')).toBe(text);
  expect(splitWords('我喜欢苹果').length).toBeGreaterThan(1);
});

test('a diff names what was struck and what was added, and restores both texts', () => {
  const before = 'The answer is 7 apples.';
  const after = 'The answer is 8 apples.';
  const parts = diffWords(before, after)!;
  expect(parts.filter((part) => part.kind !== 'same').map((part) => part.text)).toEqual(['7', '8']);
  expect(parts.filter((part) => part.kind !== 'added').map((part) => part.text).join('')).toBe(before);
  expect(parts.filter((part) => part.kind !== 'removed').map((part) => part.text).join('')).toBe(after);
  expect(diffWords('x'.repeat(60_000), 'y')).toBeUndefined();
});

test('the first preference that the page speaks decides', () => {
  expect(preferredLanguage(['fr-FR', 'zh-Hans-CN', 'en'])).toBe('zh');
  expect(preferredLanguage(['de', 'en-GB', 'zh'])).toBe('en');
  expect(preferredLanguage(['fr'])).toBe('en');
});

test('both languages say the same things with the same values', () => {
  const values = (words: string) => [...words.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const key of Object.keys(en) as (keyof typeof en)[]) expect([key, values(zh[key])]).toEqual([key, values(en[key])]);
  expect(fillWords('{a} and {b}', { a: 1 })).toBe('1 and {b}');
});

test('a parameter is a number in its range, a default, or refused', () => {
  const named = (name: string) => PARAMETERS.find((parameter) => parameter.name === name)!;
  expect(parseParameter(named('temperature'), '0.')).toBe(0);
  expect(parseParameter(named('temperature'), ' ')).toBeUndefined();
  expect(parseParameter(named('temperature'), '2.1')).toBeNull();
  expect(parseParameter(named('top_k'), '1.5')).toBeNull();
  expect(parseParameter(named('seed'), 'NaN')).toBeNull();
});

test('a request carries what was set and nothing else', () => {
  expect(requestFields({ values: { top_k: 5 }, stop: ['', 'END'], system: 'x', logprobs: false })).toEqual({ top_k: 5, stop: ['END'] });
  expect(requestFields({ values: {}, stop: [], system: '', logprobs: true })).toEqual({ logprobs: true, top_logprobs: 10 });
});

test('a name is the last part of an id', () => {
  expect(shortName('deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B')).toBe('DeepSeek-R1-Distill-Qwen-1.5B');
  expect(shortName('./models/a.gguf')).toBe('a.gguf');
  expect(shortName('demo:native')).toBe('demo:native');
});

test('a report that lacks a field is refused with its place', () => {
  expect(() => parseReport('{"report_version": 2}')).toThrow('report_version is not 1');
  expect(() => parseReport('null')).toThrow('report_version is not 1');
  expect(() => parseReport('{"report_version": 1}')).toThrow('title is not a string');
  expect(() => parseReport('[')).toThrow();
});

test('an item differs where outcomes do', () => {
  const item = (outcomes: string[]) => ({
    suite: '',
    item: '',
    expected: '',
    answers: outcomes.map((outcome) => ({ candidate: '', sample: 0, outcome, extracted: '', why: '', tokens: 1, finish_reason: 'stop' })),
  });
  expect(isDiffering(item(['correct', 'wrong']))).toBe(true);
  expect(isDiffering(item(['wrong', 'wrong']))).toBe(false);
});
