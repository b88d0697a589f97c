/** Blind votes: their tally, and their export as suites. */
import { wilsonInterval } from './stats.ts';

/** 'first' and 'second' are the answers in the order in which they were shown. */
export const VERDICTS = ['first', 'second', 'tie', 'bad'] as const;

export type Verdict = (typeof VERDICTS)[number];

export interface Vote {
  id: string;
  timeMs: number;
  prompt: string;
  /** As shown, left to right. */
  models: [string, string];
  answers: [string, string];
  verdict: Verdict;
  blind: boolean;
  /** The right answer as a number, where the voter knew it. */
  expected?: string;
}

/** Whether a kept vote is one that the page can count: another version may have written it. */
export function isVote(given: unknown): given is Vote {
  const { prompt, models, answers, verdict } = (given ?? {}) as Record<string, unknown>;
  const arePair = (pair: unknown) => Array.isArray(pair) && pair.length === 2 && pair.every((text) => typeof text === 'string');
  return typeof prompt === 'string' && arePair(models) && arePair(answers) && VERDICTS.some((known) => known === verdict);
}

export interface Tally {
  models: [string, string];
  wins: [number, number];
  ties: number;
  bad: number;
  /** Share of the first model among votes that chose one, with Wilson's 95 % interval. */
  share: number | undefined;
  interval: [number, number];
}

/** One tally for each pair of different models. Only blind votes count: a name sways the voter. */
export function tallyVotes(votes: readonly Vote[]): Tally[] {
  const tallies = new Map<string, Tally>();
  for (const vote of votes) {
    const [left, right] = vote.models;
    if (!vote.blind || left === right) continue;
    const models: [string, string] = left < right ? [left, right] : [right, left];
    const key = JSON.stringify(models);
    const tally = tallies.get(key) ?? { models, wins: [0, 0], ties: 0, bad: 0, share: undefined, interval: [0, 1] };
    tallies.set(key, tally);
    if (vote.verdict === 'tie') tally.ties++;
    else if (vote.verdict === 'bad') tally.bad++;
    else {
      const winner = vote.verdict === 'first' ? left : right;
      tally.wins[winner === models[0] ? 0 : 1]++;
    }
  }
  for (const tally of tallies.values()) {
    const [first, second] = tally.wins;
    if (first + second > 0) tally.share = first / (first + second);
    tally.interval = wilsonInterval(first, first + second);
  }
  return [...tallies.values()];
}

function toLines(header: object, items: readonly object[]): string {
  return [header, ...items].map((line) => JSON.stringify(line)).join('\n') + '\n';
}

/** Votes that chose an answer, as a suite in which a model has to choose as the voter did (suites/README.md). */
export function preferenceSuite(votes: readonly Vote[]): string {
  const chosen = votes.filter((vote) => vote.verdict === 'first' || vote.verdict === 'second');
  const header = {
    suite: 'votes',
    kind: 'logic',
    version: 1,
    licence: 'private',
    provenance: 'votes given on the page of touchstone serve, side by side',
    prompt:
      'Two assistants answered the same request.\n\nRequest:\n{context}\n\nAnswer A:\n{A}\n\nAnswer B:\n{B}\n\n{question} Reply with the letter.',
  };
  return toLines(
    header,
    chosen.map((vote) => ({
      id: vote.id,
      context: vote.prompt,
      question: 'Which answer is better, A or B?',
      options: vote.answers,
      answer: vote.verdict === 'first' ? 0 : 1,
    })),
  );
}

/** Votes for which the right number is known, as a suite of questions. */
export function questionSuite(votes: readonly Vote[]): string {
  const header = {
    suite: 'questions',
    kind: 'math',
    version: 1,
    licence: 'private',
    provenance: 'prompts tried on the page of touchstone serve, with answers that the voter gave',
    prompt: '{question}',
  };
  return toLines(
    header,
    votes
      .filter((vote) => vote.expected !== undefined)
      .map((vote) => ({ id: vote.id, question: vote.prompt, answer: vote.expected })),
  );
}

/** Whether the text is a number as a suite of kind math wants it: 17, 3/4, 1,234.5. */
export function isExpectedNumber(text: string): boolean {
  return /^-?\d[\d,]*(\.\d+)?(\/\d+)?$/.test(text);
}
