/** What differs between two answers, word by word. */
import { useMemo } from 'preact/hooks';
import { diffWords } from '../diff.ts';
import { t } from '../i18n.ts';

export function DiffView({ before, after }: { before: string; after: string }) {
  const parts = useMemo(() => diffWords(before, after), [before, after]);
  if (parts === undefined) return <p class="hint">{t('diffTooLong')}</p>;
  if (parts.every((part) => part.kind === 'same')) return <p class="hint">{t('diffSame')}</p>;
  return (
    <>
      <p class="hint">{t('diffLegend')}</p>
      <div class="diff" dir="auto">
        {parts.map((part, index) =>
          part.kind === 'same' ? (
            <span key={index}>{part.text}</span>
          ) : part.kind === 'removed' ? (
            <del key={index}>{part.text}</del>
          ) : (
            <ins key={index}>{part.text}</ins>
          ),
        )}
      </div>
    </>
  );
}
