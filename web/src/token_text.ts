/** How tokens are shown: white space made visible, and characters that several tokens share shown whole. */
import type { Alternative } from './reply.ts';

const VISIBLE: Record<string, string> = { '\n': '⏎', '\r': '␍', '\t': '⇥', '\u00A0': '⍽', '\u3000': '□' };

/** Spaces at the ends, line ends and what has no shape of its own made visible. */
export function visibleText(text: string): string {
  return (
    text
      .replace(/^ +| +$/g, (spaces) => '␣'.repeat(spaces.length))
      .replace(/[\n\r\t\u00A0\u3000]/g, (character) => VISIBLE[character]!)
      // Invisible marks and controls, among them those that turn the direction of the text; joiners within a word stay.
      .replace(/^[\u200C\u200D]+$|(?![\u200C\u200D])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
        [...character].map((one) => `U+${one.codePointAt(0)!.toString(16).toUpperCase().padStart(4, '0')}`).join(''),
      ) || '∅'
  );
}

export function bytesOf(token: Alternative): number[] {
  return token.bytes ?? [...new TextEncoder().encode(token.text)];
}

/** The text of the bytes; undefined where they begin or end inside a character. */
function decode(bytes: readonly number[]): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
  } catch {
    return undefined;
  }
}

function hex(bytes: readonly number[]): string {
  return bytes.map((byte) => `<${byte.toString(16).toUpperCase().padStart(2, '0')}>`).join('');
}

export interface TokenLabel {
  /** What the token is, or what it makes together with its neighbours. */
  text: string;
  /** "2/3" where the token is the second of three that make the text. */
  part: string;
  /** Bytes before it of the character that it goes on with. */
  before: number[];
}

// A character has at most four bytes, and a token at least one; a token may also end one character and begin the next.
const TOKENS_OF_TEXT_MAX = 8;

/** What each token is shown as. */
export function labelTokens(tokens: readonly Alternative[]): TokenLabel[] {
  const labels: TokenLabel[] = [];
  while (labels.length < tokens.length) {
    const first = labels.length;
    const befores: number[][] = [];
    const bytes: number[] = [];
    let text: string | undefined;
    for (let index = first; text === undefined && index < Math.min(tokens.length, first + TOKENS_OF_TEXT_MAX); index++) {
      befores.push([...bytes]);
      bytes.push(...bytesOf(tokens[index]!));
      text = decode(bytes);
    }
    if (text === undefined) {
      // Bytes that never become a character.
      labels.push({ text: hex(bytesOf(tokens[first]!)), part: '', before: [] });
      continue;
    }
    const count = befores.length;
    befores.forEach((before, k) => labels.push({ text: visibleText(text), part: count === 1 ? '' : `${k + 1}/${count}`, before }));
  }
  return labels;
}

/** What another token in the place of a labelled one is shown as, and whether the text up to it ends with a whole character. */
export function labelAlternative(alternative: Alternative, { before }: TokenLabel): { text: string; isWhole: boolean } {
  const bytes = bytesOf(alternative);
  const text = decode([...before, ...bytes]) ?? decode(bytes);
  return text === undefined ? { text: hex(bytes), isWhole: false } : { text: visibleText(text), isWhole: true };
}

export function isSameToken(a: Alternative, b: Alternative): boolean {
  const bytes = bytesOf(b);
  return bytesOf(a).length === bytes.length && bytesOf(a).every((byte, index) => byte === bytes[index]);
}
