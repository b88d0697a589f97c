/** Finds TeX in Markdown: $…$, $$…$$, \(…\), \[…\]. Only marks it; markdown.ts has KaTeX draw it. */
import type { MarkdownIt, StateBlock, StateInline } from 'markdown-it';

// Longer formulas are no formulas; the bound keeps a text full of unclosed $ linear.
const INLINE_CHARACTERS_MAX = 2_000;
const BLOCK_LINES_MAX = 200;

const INLINE_DELIMITERS = [
  { open: '$$', close: '$$', display: true },
  { open: '\\[', close: '\\]', display: true },
  { open: '\\(', close: '\\)', display: false },
  { open: '$', close: '$', display: false },
];

/** "It costs $5 and $6" has no formula: a $ must touch what it encloses, and no digit may follow. */
function isFormula(source: string, from: number, to: number): boolean {
  return !/\s/.test(source[from]!) && !/[\s\\]/.test(source[to - 1]!) && !/\d/.test(source[to + 1] ?? '');
}

function inlineMath(state: StateInline, silent: boolean): boolean {
  const first = state.src.charCodeAt(state.pos);
  if (first !== 0x24 /* $ */ && first !== 0x5c /* \ */) return false;
  const delimiter = INLINE_DELIMITERS.find(({ open }) => state.src.startsWith(open, state.pos));
  if (!delimiter) return false;
  const from = state.pos + delimiter.open.length;
  const window = state.src.slice(from, Math.min(state.posMax, from + INLINE_CHARACTERS_MAX));
  const length = window.indexOf(delimiter.close);
  if (length <= 0) return false;
  const to = from + length;
  if (delimiter.open === '$' && !isFormula(state.src, from, to)) return false;
  if (!silent) {
    const token = state.push(delimiter.display ? 'math_display' : 'math_inline', '', 0);
    token.content = state.src.slice(from, to);
  }
  state.pos = to + delimiter.close.length;
  return true;
}

function blockMath(state: StateBlock, startLine: number, endLine: number, silent: boolean): boolean {
  const begin = state.bMarks[startLine]! + state.tShift[startLine]!;
  const open = state.src.slice(begin, begin + 2);
  if (open !== '$$' && open !== '\\[') return false;
  const close = open === '$$' ? '$$' : '\\]';
  for (let line = startLine; line < Math.min(endLine, startLine + BLOCK_LINES_MAX); line++) {
    if (line > startLine && state.sCount[line]! < state.blkIndent) return false;
    const lineEnd = state.eMarks[line]!;
    const from = line === startLine ? begin + 2 : state.bMarks[line]!;
    const at = state.src.slice(from, lineEnd).indexOf(close);
    if (at < 0) continue;
    // Text after the formula makes it part of a paragraph.
    if (state.src.slice(from + at + 2, lineEnd).trim() !== '') return false;
    if (silent) return true;
    const token = state.push('math_display', '', 0);
    token.block = true;
    token.content = state.src.slice(begin + 2, from + at);
    token.map = [startLine, line + 1];
    state.line = line + 1;
    return true;
  }
  return false;
}

export function addMath(markdown: MarkdownIt): void {
  markdown.inline.ruler.before('escape', 'math', inlineMath);
  markdown.block.ruler.before('fence', 'math', blockMath, { alt: ['paragraph', 'blockquote', 'list'] });
  const escape = markdown.utils.escapeHtml;
  markdown.renderer.rules['math_inline'] = (tokens, index) => `<span class="math">${escape(tokens[index]!.content)}</span>`;
  markdown.renderer.rules['math_display'] = (tokens, index) =>
    tokens[index]!.block
      ? `<div class="math display">${escape(tokens[index]!.content)}</div>`
      : `<span class="math display">${escape(tokens[index]!.content)}</span>`;
}
