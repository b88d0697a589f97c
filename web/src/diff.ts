/** Word diff of two answers. */
import { diffArrays } from 'diff';

export interface DiffPart {
  text: string;
  kind: 'same' | 'removed' | 'added';
}

// Beyond this the comparison costs seconds and says nothing to a reader.
const CHARACTERS_MAX = 50_000;
const EDITS_MAX = 4_000;

/** Splits into words, spaces and punctuation; Chinese into words as well. Joined again, it is the text. */
export function splitWords(text: string): string[] {
  return Array.from(new Intl.Segmenter(undefined, { granularity: 'word' }).segment(text), (part) => part.segment);
}

/** What to strike from `before` and to add to get `after`; undefined where they are too long or too different. */
export function diffWords(before: string, after: string): DiffPart[] | undefined {
  if (before.length > CHARACTERS_MAX || after.length > CHARACTERS_MAX) return undefined;
  const changes = diffArrays(splitWords(before), splitWords(after), { maxEditLength: EDITS_MAX });
  return changes?.map((change) => ({
    text: change.value.join(''),
    kind: change.added ? 'added' : change.removed ? 'removed' : 'same',
  }));
}
