import { readFile } from 'node:fs/promises';
import { expect, expectAccessible, send, test } from './fixture.ts';
import { REPORT } from './report.ts';
import type { Page } from '@playwright/test';

const answer = (page: Page, letter: 'A' | 'B') => page.getByRole('region', { name: `Answer ${letter}` });

async function openArena(page: Page, blind: boolean): Promise<void> {
  await page.getByRole('link', { name: 'Side by side' }).click();
  await page.getByRole('checkbox', { name: /Blind/ }).setChecked(blind);
}

test('one prompt goes to both models at once, with timing bars and a diff', async ({ page, mock }) => {
  await openArena(page, false);
  await send(page, 'answer seven');
  await expect(answer(page, 'A')).toContainText('The answer is 7.');
  await expect(answer(page, 'B')).toContainText('The answer is 7.');
  expect(mock.requests.map((request) => request.model).sort()).toEqual(['demo/distilled', 'demo/native']);
  await expect(answer(page, 'A').getByRole('heading')).toContainText('distilled');
  for (const letter of ['A', 'B'] as const) {
    await expect(answer(page, letter).getByRole('img', { name: /Time between tokens: median/ })).toBeVisible();
    const drawn = await answer(page, letter).locator('canvas').evaluate((element) => {
      const canvas = element as HTMLCanvasElement;
      return canvas.getContext('2d')!.getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0);
    });
    expect(drawn).toBe(true);
  }
  await page.getByText('Difference').click();
  await expect(page.getByText('The answers are identical.')).toBeVisible();
});

test('a blind vote hides names until it is given, is counted, kept and exported', async ({ page }) => {
  await openArena(page, true);
  await send(page, 'answer seven');
  await expect(page.getByRole('button', { name: 'A is better' })).toBeVisible();
  await expect(answer(page, 'A')).not.toContainText(/distilled|native|tok\/s/);
  await page.getByRole('textbox', { name: /right answer/ }).fill('seven');
  await expect(page.getByRole('button', { name: 'A is better' })).toBeDisabled();
  await page.getByRole('textbox', { name: /right answer/ }).fill('7');
  await page.getByRole('button', { name: 'A is better' }).click();
  await expect(page.getByText(/Vote counted\. A was (distilled|native), B was (distilled|native)\./)).toBeVisible();
  const winner = (await answer(page, 'A').locator('.answer-name').textContent())!;
  const row = page.getByRole('row', { name: /distilled · native/ });
  await expect(row).toContainText(winner === 'distilled' ? '1 : 0' : '0 : 1');
  await expect(row).toContainText(winner === 'distilled' ? '100 % [21 %, 100 %]' : '0 % [0 %, 79 %]');
  await expect(row).toContainText('can’t tell');
  await page.reload();
  await expect(row).toBeVisible();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export questions as a suite' }).click();
  const lines = (await readFile(await (await download).path(), 'utf8')).trim().split('\n').map((line) => JSON.parse(line));
  expect(lines[0]).toMatchObject({ suite: 'questions', kind: 'math' });
  expect(lines[1]).toMatchObject({ question: 'answer seven', answer: '7' });
});

test('before the vote nothing tells the models apart, and the round outlives a reload', async ({ page }) => {
  await openArena(page, true);
  await send(page, 'think');
  await expect(page.getByRole('button', { name: 'A is better' })).toBeVisible();
  const nothingTold = async () => {
    const html = await page.locator('.answers').evaluate((element) => element.outerHTML);
    expect(html).not.toMatch(/distilled|native|tokens|tok\/s|\d ms|\d s\b/);
  };
  await nothingTold();
  await page.reload();
  await nothingTold();
  await page.getByRole('button', { name: 'Tie' }).click();
  await expect(page.getByText(/Vote counted\./)).toBeVisible();
  await expect(answer(page, 'A').locator('summary')).toContainText('Thought for');
  await page.reload();
  await expect(page.getByText(/Vote counted\./)).toBeVisible();
});

test('an error in a blind round names no model, and the round is run again', async ({ page, mock }) => {
  await openArena(page, true);
  await send(page, 'half broken');
  await expect(page.locator('.answers')).toContainText('The server failed.');
  await expect(page.locator('.answers')).not.toContainText('native');
  await page.getByRole('button', { name: 'Retry' }).click();
  await expect.poll(() => mock.requests.length).toBe(4);
});

/** A column's markup, without the letter that tells it from the other. */
const markup = (page: Page, letter: 'A' | 'B') =>
  answer(page, letter).evaluate((element, own) => element.outerHTML.replaceAll(`>${own}<`, '><').replaceAll(`Answer ${own}`, ''), letter);

test.describe('in a blind round with one model slower than the other', () => {
  test.use({ mockOptions: { delayMs: (model: string) => (model === 'demo/native' ? 25 : 2) } });

  test('both answers look the same until both are complete, and then appear together', async ({ page, mock }) => {
    await openArena(page, true);
    await page.evaluate(() => {
      const seen = new Set<number>();
      new MutationObserver(() => seen.add(document.querySelectorAll('.answer .markdown, .answer .thinking').length)).observe(document.body, { childList: true, subtree: true });
      Object.assign(window, { seen });
    });
    await send(page, 'tour');
    await expect.poll(() => mock.ended).toBe(1);
    await expect(page.getByText('Both answers appear together')).toBeVisible();
    expect(await markup(page, 'A')).toBe(await markup(page, 'B'));
    expect(await page.locator('.answers').textContent()).not.toContain('tour');
    await expectAccessible(page);
    await expect(page.getByRole('button', { name: 'A is better' })).toBeVisible();
    for (const letter of ['A', 'B'] as const) await expect(answer(page, letter)).toContainText('也支持中文');
    await expect(page.getByText('Both answers appear together')).toHaveCount(0);
    // Thinking and text of both, or nothing: no drawing showed one answer alone.
    expect(await page.evaluate(() => [...(window as unknown as { seen: Set<number> }).seen].sort())).toEqual([0, 4]);
  });

  test('stop ends both, shows what has come, and takes no vote', async ({ page, mock }) => {
    await openArena(page, true);
    await send(page, 'tour');
    await expect.poll(() => mock.ended).toBe(1);
    await page.getByRole('button', { name: 'Stop' }).click();
    await expect(page.locator('.answers')).toContainText('Stopped.');
    await expect(page.locator('.answers')).toContainText('也支持中文');
    await expect.poll(() => mock.aborted).toBe(1);
    await expect(page.getByText('Not voted on: an answer is not complete.')).toBeVisible();
    await expect(page.getByRole('button', { name: 'A is better' })).toHaveCount(0);
    await expect(page.locator('.answers')).not.toContainText(/distilled|native/);
    await expect(page.locator('[aria-live]')).toHaveText('Stopped.');
  });

  test('thinking is cut short without telling whose', async ({ page, mock }) => {
    await openArena(page, true);
    await send(page, 'think');
    await page.getByRole('button', { name: 'Answer now' }).click();
    expect(await markup(page, 'A')).toBe(await markup(page, 'B'));
    await expect(page.getByRole('button', { name: 'A is better' })).toBeVisible();
    expect(mock.endedThinking.length).toBeGreaterThan(0);
  });
});

test('both models are asked again when the server was busy, and one wait is shown for both', async ({ page, mock }) => {
  mock.isBusy = true;
  await openArena(page, true);
  await send(page, 'wait');
  await expect(page.getByRole('timer')).toHaveCount(1);
  mock.isBusy = false;
  await page.getByRole('button', { name: 'Try now' }).click();
  await expect(page.getByRole('button', { name: 'A is better' })).toBeVisible();
  expect(mock.requests).toHaveLength(4);
});

test('a tie is not counted for either', async ({ page }) => {
  await openArena(page, true);
  await send(page, 'hello');
  await page.getByRole('button', { name: 'Tie' }).click();
  const row = page.getByRole('row', { name: /distilled · native/ });
  await expect(row.getByRole('cell')).toHaveText(['0 : 0', '1', '0', /–/]);
});

test.describe('with one model slower than the other', () => {
  test.use({ mockOptions: { delayMs: (model: string) => (model === 'demo/native' ? 60 : 2) } });
  test('both stream at once, and stop together', async ({ page, mock }) => {
    await openArena(page, false);
    await send(page, 'tour');
    await expect(answer(page, 'A')).toContainText('也支持中文');
    await expect(answer(page, 'B')).toHaveAttribute('aria-busy', 'true');
    await page.getByRole('button', { name: 'Stop' }).click();
    await expect(answer(page, 'B')).toContainText('Stopped.');
    await expect.poll(() => mock.aborted).toBe(1);
  });
});

test.describe('with two models that think for long', () => {
  test.use({ mockOptions: { delayMs: 120 } });
  test('the thinking of one of them is cut short, and the other goes on', async ({ page, mock }) => {
    await openArena(page, false);
    await send(page, 'think');
    await answer(page, 'B').getByRole('button', { name: 'Answer now' }).click();
    await expect(answer(page, 'B')).toContainText('You said');
    await expect(answer(page, 'A').getByRole('button', { name: 'Answer now' })).toBeVisible();
    expect(mock.endedThinking).toHaveLength(1);
  });
});

test('a finished run opens from its report, and a file that is none is refused', async ({ page }) => {
  await page.getByRole('link', { name: 'Comparison' }).click();
  const input = page.getByLabel('Open report.json').last();
  await input.setInputFiles({ name: 'report.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(REPORT)) });
  await expect(page.getByRole('row', { name: /Accuracy, math/ })).toContainText('100 % [10 %, 100 %]');
  await expect(page.getByRole('row', { name: /TTFT/ })).toContainText('3.5 ± 0.5 [3.1, 3.9]');
  await expect(page.locator('time')).toHaveText(/^(Dec 31, 2025|Jan 1, 2026), \d/);
  await expect(page.getByText('<img src=x onerror=alert(1)>')).toBeVisible();
  await expect(page.locator('.item')).toHaveCount(1);
  await expect(page.getByText('What is 2 + 2?')).toHaveCount(0);
  await page.locator('.item > summary').click();
  await expect(page.locator('.item')).toContainText('Expected: 4');
  await expect(page.getByText('What is 2 + 2?')).toBeVisible();
  await expect(page.locator('.item strong')).toHaveText(['4', '4']);
  await expect(page.locator('.item img')).toHaveCount(0);
  await expect(page.getByText('2 + 2 = 4')).toBeHidden();
  await page.locator('.item').getByText('Thinking').click();
  await expect(page.getByText('2 + 2 = 4')).toBeVisible();
  await page.getByRole('combobox', { name: 'Show' }).selectOption('all');
  await expect(page.locator('.item')).toHaveCount(2);
  const older = { ...REPORT, items: REPORT.items.map(({ prompt, ...item }) => item) };
  await input.setInputFiles({ name: 'report.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(older)) });
  await page.locator('.item > summary').first().click();
  await expect(page.getByText('What is 2 + 2?')).toHaveCount(0);
  await expect(page.locator('.item').first()).toContainText('Expected: 4');
  const broken = { ...REPORT, items: [{ suite: 'math' }] };
  await input.setInputFiles({ name: 'report.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(broken)) });
  await expect(page.getByRole('alert')).toContainText('items[0].item is not a string');
});
