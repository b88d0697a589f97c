/** A model's Markdown. While it streams, only blocks that changed are drawn anew, and long texts less often. */
import { useEffect, useRef } from 'preact/hooks';
import { copyText } from '../clipboard.ts';
import { toFragment } from '../fragment.ts';
import { language, t } from '../i18n.ts';
import { renderBlocks } from '../markdown.ts';

// Drawing may take this share of the time; a text that is slow to draw is drawn less often.
const DRAWING_SHARE = 0.2;
// One that the machine held up is no slow one.
const DRAWING_WAIT_MS_MAX = 3_000;
const COPIED_SHOWN_MS = 1_500;

interface DrawnBlock {
  html: string;
  nodes: ChildNode[];
}

/** Makes `root` show the text, given what it showed before. */
function drawBlocks(root: HTMLElement, before: DrawnBlock[], text: string): DrawnBlock[] {
  const blocks = renderBlocks(text);
  let same = 0;
  while (same < before.length && before[same]!.html === blocks[same]) same++;
  for (const block of before.slice(same)) for (const node of block.nodes) node.remove();
  const fresh = blocks.slice(same).map((html) => {
    const fragment = toFragment(html);
    const nodes = [...fragment.childNodes];
    root.append(fragment);
    return { html, nodes };
  });
  return [...before.slice(0, same), ...fresh];
}

async function copyCode(event: Event): Promise<void> {
  const button = (event.target as Element).closest<HTMLButtonElement>('.copy-code');
  const code = button?.closest('.code')?.querySelector('code');
  if (!button || !code) return;
  button.textContent = t((await copyText(code.textContent ?? '')) ? 'copied' : 'copyFailed');
  setTimeout(() => (button.textContent = t('copy')), COPIED_SHOWN_MS);
}

export function MarkdownView({ text }: { text: string }) {
  const root = useRef<HTMLDivElement>(null);
  const drawn = useRef({ blocks: [] as DrawnBlock[], language: language.value, tookMs: 0, atMs: 0 });

  useEffect(() => {
    const state = drawn.current;
    const draw = () => {
      const began = performance.now();
      if (state.language !== language.value) {
        root.current!.replaceChildren();
        state.blocks = [];
        state.language = language.value;
      }
      state.blocks = drawBlocks(root.current!, state.blocks, text);
      state.atMs = performance.now();
      state.tookMs = state.atMs - began;
    };
    const waitMs = state.atMs + Math.min(state.tookMs / DRAWING_SHARE, DRAWING_WAIT_MS_MAX) - performance.now();
    if (waitMs <= 0) {
      draw();
      return undefined;
    }
    const timer = setTimeout(draw, waitMs);
    return () => clearTimeout(timer);
  }, [text, language.value]);

  return <div class="markdown" ref={root} onClick={(event) => void copyCode(event)} />;
}
