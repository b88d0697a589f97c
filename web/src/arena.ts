/** Side by side: one prompt, two answers at once, and a vote. */
import { computed, signal } from '@preact/signals';
import { keepDraft } from './drafts.ts';
import { generateReply } from './generate.ts';
import { t } from './i18n.ts';
import { newId } from './ids.ts';
import { requestFields } from './parameters.ts';
import { newReply, type Reply, settleReply } from './reply.ts';
import { loadAll, loadSetting, remove, save, saveSetting } from './storage.ts';
import { announcement, apiKey, findModel, models, noteFailure, settings } from './store.ts';
import { type Change, joinTabs } from './tabs.ts';
import { isVote, type Verdict, type Vote } from './votes.ts';

export interface Round {
  prompt: string;
  blind: boolean;
  /** As shown, left to right; in a blind round their order is drawn by lot. */
  replies: [Reply, Reply];
  verdict?: Verdict;
}

export const contenders = signal<[string, string]>(['', '']);
export const blind = signal(true);
export const round = signal<Round | null>(null);
export const votes = signal<Vote[]>([]);
/** Whether the browser keeps votes at all. */
export const keepsVotes = signal(true);
/** How many are kept that this page cannot read. */
export const unreadVotes = signal(0);

export const arenaStreaming = computed(() => round.value?.replies.some((reply) => reply.state === 'streaming') ?? false);
/** In a blind round, how fast each answer comes would tell which model it is from: they are shown when both have ended. */
export const heldBack = computed(() => arenaStreaming.value && round.value!.blind);
/** Only answers that ended by themselves are voted on: what was cut off is worse for no fault of the model. */
export const roundComplete = computed(() => round.value?.replies.every((reply) => reply.state === 'done') ?? false);
export const namesShown = computed(() => !round.value?.blind || round.value.verdict !== undefined);

let controller = new AbortController();
let tellTabs: ((change: Change<Vote>) => void) | undefined;

/** The round goes with the tab, as its draft does: a reload takes no answers from who has yet to vote. */
function keepRound(): void {
  saveSetting('round', round.value, 'tab');
}

function loadRound(): Round | null {
  const kept = loadSetting<Round | null>('round', null, 'tab');
  try {
    return kept && { ...kept, replies: kept.replies.map(settleReply) as [Reply, Reply] };
  } catch {
    return null; // what another version of the page kept
  }
}

async function takeUpVotes(): Promise<void> {
  try {
    const kept = await loadAll('votes');
    const sound = kept.filter(isVote);
    unreadVotes.value = kept.length - sound.length;
    // What was given before they were read is none of them.
    votes.value = [...sound, ...votes.value];
  } catch {
    keepsVotes.value = false;
  }
}

function hearTab(change: Change<Vote>): void {
  // One that was told of while it was read is in both.
  const changed = 'put' in change ? [change.put.id] : change.removed;
  const others = votes.value.filter((one) => !changed.includes(one.id));
  votes.value = 'put' in change ? [...others, change.put] : others;
}

export function startArena(): void {
  round.value = loadRound();
  addEventListener('pagehide', keepRound);
  contenders.value = loadSetting<[string, string]>('contenders', ['', '']);
  tellTabs = joinTabs('votes', takeUpVotes(), hearTab);
}

/** Contenders that are served: what was chosen, else the first two. */
export function servedContenders(): [string, string] {
  const [first, second] = contenders.value;
  const ids = models.value.map((model) => model.id);
  return [findModel(first)?.id ?? ids[0] ?? '', findModel(second)?.id ?? ids[1] ?? ids[0] ?? ''];
}

export function setContender(side: 0 | 1, id: string): void {
  const next = servedContenders();
  next[side] = id;
  contenders.value = next;
  saveSetting('contenders', next);
}

function publishReply(side: 0 | 1, reply: Reply): void {
  if (!round.value) return;
  const replies: [Reply, Reply] = [...round.value.replies];
  replies[side] = reply;
  round.value = { ...round.value, replies };
}

export async function startRound(prompt: string): Promise<void> {
  controller.abort();
  controller = new AbortController();
  keepDraft('expected', undefined);
  announcement.value = '';
  const { signal: stop } = controller;
  const shown = servedContenders();
  if (blind.value && Math.random() < 0.5) shown.reverse();
  const replies = shown.map((model) => newReply(model, performance.now())) as [Reply, Reply];
  round.value = { prompt, blind: blind.value, replies: [{ ...replies[0] }, { ...replies[1] }] };
  const system = settings.value.system.trim();
  const messages = [
    ...(system === '' ? [] : [{ role: 'system' as const, content: system }]),
    { role: 'user' as const, content: prompt },
  ];
  await Promise.all(
    replies.map((reply, side) =>
      generateReply(reply, { model: reply.model, messages, ...requestFields(settings.value) }, apiKey.value, stop, (grown) => {
        // A later round has taken the place of this one.
        if (controller.signal === stop) publishReply(side as 0 | 1, grown);
      }),
    ),
  );
  for (const reply of replies) if (reply.error) noteFailure(reply.error);
  // A later round speaks for itself.
  if (controller.signal !== stop) return;
  const failed = replies.some((reply) => reply.error);
  announcement.value = t(failed ? 'announceOneFailed' : roundComplete.value ? 'announceBothDone' : 'stopped');
}

export function stopRound(): void {
  controller.abort();
}

/** Stores a vote on the round's answers. */
export async function vote(verdict: Verdict, expected: string): Promise<void> {
  const current = round.value;
  if (!current || current.verdict || !roundComplete.value) return;
  const [left, right] = current.replies;
  const given: Vote = {
    id: newId(),
    timeMs: Date.now(),
    prompt: current.prompt,
    models: [left.model, right.model],
    answers: [left.content, right.content],
    verdict,
    blind: current.blind,
    ...(expected === '' ? {} : { expected }),
  };
  round.value = { ...current, verdict };
  votes.value = [...votes.value, given];
  tellTabs?.({ put: given });
  await save('votes', given).catch(() => (keepsVotes.value = false));
}

export async function deleteVotes(): Promise<void> {
  const gone = votes.value.map((one) => one.id);
  votes.value = [];
  tellTabs?.({ removed: gone });
  await Promise.all(gone.map((id) => remove('votes', id).catch(() => undefined)));
}
