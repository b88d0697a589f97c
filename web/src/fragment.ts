/** HTML of markdown.ts as nodes: sanitized again, formulas drawn, code given a copy button. */
import DOMPurify from 'dompurify';
import katex from 'katex';
import { t } from './i18n.ts';

const TAGS = [
  'a', 'blockquote', 'br', 'code', 'del', 'div', 'em', 'h1', 'h2', 'h3', 'h4', 'h5', 'h6', 'hr', 'li', 'ol', 'p', 'pre', 's', 'span',
  'strong', 'table', 'tbody', 'td', 'th', 'thead', 'tr', 'ul',
];
const ATTRIBUTES = ['href', 'class', 'dir', 'title', 'start'];
const FORMULA_CHARACTERS_MAX = 4_000;
// Chromium, which nests no HTML deeper than 512, crashes when it lays out some 2,000 levels. A formula of 20 fractions within each
// other has 150.
const FORMULA_DEPTH_MAX = 400;

function isDeeper(root: Element, depth: number): boolean {
  let level = [root];
  for (let at = 0; at <= depth && level.length > 0; at++) level = level.flatMap((element) => [...element.children]);
  return level.length > 0;
}

function showSource(element: Element, source: string): void {
  element.textContent = source;
  element.classList.add('unreadable');
}

/** Draws TeX into `element`. KaTeX sets styles through the CSSOM, which the content security policy allows. */
function drawFormula(element: Element): void {
  const source = element.textContent ?? '';
  if (source.length > FORMULA_CHARACTERS_MAX) return;
  try {
    katex.render(source, element as HTMLElement, {
      displayMode: element.classList.contains('display'),
      throwOnError: true,
      strict: 'ignore',
      trust: false,
      maxSize: 20,
      maxExpand: 200,
    });
    if (isDeeper(element, FORMULA_DEPTH_MAX)) showSource(element, source);
  } catch {
    // Half a formula, or none: its source says more than an error would.
    showSource(element, source);
  }
}

function addCopyButton(head: Element): void {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy-code';
  button.textContent = t('copy');
  head.append(button);
}

export function toFragment(html: string): DocumentFragment {
  const fragment = DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
    // These hold no address.
    ADD_URI_SAFE_ATTR: ['dir', 'start'],
    RETURN_DOM_FRAGMENT: true,
  });
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  fragment.querySelectorAll('.math').forEach(drawFormula);
  fragment.querySelectorAll('.code-head').forEach(addCopyButton);
  // What is wider than the page scrolls by itself, and so must take the keyboard's focus.
  fragment.querySelectorAll<HTMLElement>('pre, .math.display').forEach((element) => (element.tabIndex = 0));
  for (const table of fragment.querySelectorAll('table')) {
    const frame = document.createElement('div');
    frame.className = 'scroll';
    frame.tabIndex = 0;
    table.replaceWith(frame);
    frame.append(table);
  }
  return fragment;
}
