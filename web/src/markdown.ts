/** A model's Markdown as HTML, one string a top-level block. What a model writes is hostile: no HTML of its own, no images. */
import MarkdownIt from 'markdown-it';
import type { Token } from 'markdown-it';
import { highlightCode } from './highlight.ts';
import { addMath } from './math.ts';

// Parsing inline syntax takes quadratic time in the worst case, and no one reads a paragraph of this length.
const PARAGRAPH_CHARACTERS_MAX = 8_000;
// Laying out a longer run of text makes the page stutter.
const SHOWN_CHARACTERS_MAX = 20_000;
const NESTING_MAX = 20;

// Characters that turn the direction of what follows and can make code read as what it is not.
const BIDI_CONTROLS = /[\u202A-\u202E\u2066-\u2069]/g;

/** The text's beginning, and how much of it is left out. */
export function clipText(text: string): string {
  const rest = text.length - SHOWN_CHARACTERS_MAX;
  return rest > 0 ? `${text.slice(0, SHOWN_CHARACTERS_MAX)}… (+${rest})` : text;
}

function showBidiControls(text: string): string {
  return text.replace(BIDI_CONTROLS, (control) => `⟨U+${control.charCodeAt(0).toString(16).toUpperCase()}⟩`);
}

const markdown = new MarkdownIt({ html: false, linkify: false, breaks: false, maxNesting: NESTING_MAX });
const { escapeHtml } = markdown.utils;
const rules = markdown.renderer.rules;

addMath(markdown);

markdown.core.ruler.before('inline', 'limit', (state) => {
  const long = state.tokens.filter((token) => token.type === 'inline' && token.content.length > PARAGRAPH_CHARACTERS_MAX);
  for (const token of long) {
    token.type = 'plain';
    token.children = null;
    token.content = clipText(token.content);
  }
});

// The parser would drop what is nested deeper than its limit; so that nothing is lost, it is plain text a little before.
markdown.block.ruler.before('table', 'too_deep', (state, startLine, endLine) => {
  if (state.level < NESTING_MAX - 2) return false;
  const token = state.push('plain', '', 0);
  token.content = clipText(state.getLines(startLine, endLine, state.blkIndent, false));
  state.line = endLine;
  return true;
});
rules['plain'] = (tokens, index) => escapeHtml(tokens[index]!.content);

function renderCode(token: Token): string {
  const language = token.info.trim().split(/\s+/)[0] ?? '';
  const code = showBidiControls(clipText(token.content));
  const body = highlightCode(code, language) || escapeHtml(code);
  return `<div class="code"><div class="code-head"><span>${escapeHtml(language)}</span></div><pre dir="ltr"><code>${body}</code></pre></div>`;
}
rules['fence'] = (tokens, index) => renderCode(tokens[index]!);
rules['code_block'] = (tokens, index) => renderCode(tokens[index]!);

// A picture from elsewhere would tell its server what is read here, so it becomes a link.
rules['image'] = (tokens, index, options, env, renderer) => {
  const token = tokens[index]!;
  const label = renderer.renderInlineAsText(token.children ?? [], options, env) || 'image';
  const source = String(token.attrGet('src') ?? '');
  return /^https?:/i.test(source) ? `<a href="${escapeHtml(source)}">🖼 ${escapeHtml(label)}</a>` : `🖼 ${escapeHtml(label)}`;
};

// Alignment as a class: the content security policy forbids style attributes.
for (const name of ['th_open', 'td_open']) {
  rules[name] = (tokens, index, options, _env, renderer) => {
    const token = tokens[index]!;
    const align = /text-align:(\w+)/.exec(String(token.attrGet('style') ?? ''))?.[1];
    token.attrs = align ? [['class', `align-${align}`]] : null;
    return renderer.renderToken(tokens, index, options);
  };
}

for (const name of ['paragraph_open', 'heading_open', 'list_item_open', 'blockquote_open']) {
  rules[name] = (tokens, index, options, _env, renderer) => {
    tokens[index]!.attrSet('dir', 'auto');
    return renderer.renderToken(tokens, index, options);
  };
}

/** HTML of each top-level block. An unclosed fence reaches to the end, as it does while it is being written. */
export function renderBlocks(text: string): string[] {
  const env = {};
  const tokens = markdown.parse(text, env);
  const blocks: string[] = [];
  let begin = 0;
  tokens.forEach((token, index) => {
    if (token.level !== 0 || token.nesting === 1) return;
    blocks.push(markdown.renderer.render(tokens.slice(begin, index + 1), markdown.options, env));
    begin = index + 1;
  });
  return blocks;
}
