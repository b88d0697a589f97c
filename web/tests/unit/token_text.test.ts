import { expect, test } from 'vitest';
import type { Alternative } from '../../src/reply.ts';
import { isSameToken, labelAlternative, labelTokens, visibleText } from '../../src/token_text.ts';

const half = (...bytes: number[]): Alternative => ({ text: '\uFFFD', bytes, logprob: -1 });
const plain = (text: string): Alternative => ({ text, logprob: -1 });

test('white space and marks without a shape are visible', () => {
  expect(visibleText('    if')).toBe('␣␣␣␣if');
  expect(visibleText('   ')).toBe('␣␣␣');
  expect(visibleText('a b\n\t')).toBe('a b⏎⇥');
  expect(visibleText('\u00A0\u3000\u200B\u202E')).toBe('⍽□U+200BU+202E');
  expect(visibleText('\u{1F468}\u200D\u{1F469}')).toBe('\u{1F468}\u200D\u{1F469}');
  expect(visibleText('')).toBe('∅');
});

test('a character that several tokens share is shown whole on each of them', () => {
  const labels = labelTokens([plain('a'), half(0xe4, 0xbd), half(0xa0), plain('b')]);
  expect(labels.map(({ text, part }) => text + part)).toEqual(['a', '你1/2', '你2/2', 'b']);
  expect(labels[2]!.before).toEqual([0xe4, 0xbd]);
});

test('bytes that never become a character are shown as bytes, and what follows them is not lost', () => {
  expect(labelTokens([half(0xff), plain('b'), half(0xe4)]).map(({ text }) => text)).toEqual(['<FF>', 'b', '<E4>']);
});

test('an alternative that ends a character is shown as that character', () => {
  const label = labelTokens([half(0xe4, 0xbd), half(0xa0)])[1]!;
  expect(labelAlternative(half(0xa1), label)).toEqual({ text: '佡', isWhole: true });
  expect(labelAlternative(half(0xe4), label)).toEqual({ text: '<E4>', isWhole: false });
  expect([isSameToken(half(0xa0), half(0xa0)), isSameToken(half(0xa0), half(0xa1))]).toEqual([true, false]);
});
