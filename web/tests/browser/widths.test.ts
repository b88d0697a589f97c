/** Nothing scrolls the page sideways, whatever is long: names, words, tables, reports. */
import { answers, ask, composer, expect, expectAccessible, expectNoSideScroll, send, test } from './fixture.ts';
import { REPORT } from './report.ts';
import type { Page } from '@playwright/test';

const LONG = 'organisation/a_model_whose_name_is_longer_than_any_narrow_window_for_it_has_no_place_to_break_Q4_K_M.gguf';

/** The views themselves scroll down, and never sideways: what is wide scrolls within its own part. */
async function expectAllWithin(page: Page): Promise<void> {
  await expectNoSideScroll(page);
  const view = page.locator('.messages, .arena, .report');
  const [content, window] = await view.evaluate((element) => [element.scrollWidth, element.clientWidth]);
  expect(content).toBeLessThanOrEqual(window!);
}

const REPORT_LONG = {
  ...REPORT,
  title: `${LONG} against ${LONG}2`,
  machine: LONG,
  candidates: REPORT.candidates.map((candidate) => ({ ...candidate, label: `${LONG}-${candidate.label}` })),
  accuracy_comparisons: [{ suite: 'math', verdict: `${LONG} is better` }],
  scenarios: [{ name: 'edge', title: 'Edge', recommended: null, recommendation: LONG, lines: [LONG] }],
  notes: [LONG],
  items: REPORT.items.map((item) => ({ ...item, item: LONG + item.item, expected: LONG })),
};

for (const width of [360, 768, 1280]) {
  test.describe(`${width} pixels wide`, () => {
    test.use({ viewport: { width, height: 800 }, mockOptions: { models: [`${LONG}-a`, `${LONG}-b`] } });
    test('every view holds what is long', async ({ page }) => {
      await ask(page, 'tour');
      await expectAllWithin(page);
      await expect(answers(page).locator('table')).toBeVisible();
      await page.getByRole('link', { name: 'Side by side' }).click();
      await send(page, LONG);
      await page.getByRole('button', { name: 'A is better' }).click();
      await page.getByText('Difference').click();
      await expectAllWithin(page);
      await page.getByRole('link', { name: 'Comparison' }).click();
      const buffer = Buffer.from(JSON.stringify(REPORT_LONG));
      await page.getByLabel('Open report.json').last().setInputFiles({ name: 'report.json', mimeType: 'application/json', buffer });
      await page.locator('details > summary').first().click();
      await page.locator('.item > summary').first().click();
      await expectAllWithin(page);
    });

    test('what a model writes scrolls within its own part, and no formula lies under its number', async ({ page }) => {
      await ask(page, 'wide');
      await expectAllWithin(page);
      const answer = answers(page).locator('.markdown');
      for (const wide of [answer.locator('.code pre'), answer.locator('.math.display').last(), answer.locator('.scroll')]) {
        const [content, shown] = await wide.evaluate((element) => [element.scrollWidth, element.clientWidth]);
        expect(content).toBeGreaterThan(shown!);
        await expect(wide).toHaveCSS('overflow-x', 'auto');
      }
      const formula = answer.locator('.math.display').last();
      const [end, number] = await formula.evaluate((element) => [
        Math.max(...[...element.querySelectorAll('.katex-base')].map((base) => base.getBoundingClientRect().right)),
        element.querySelector('.katex-tag')!.getBoundingClientRect().left,
      ]);
      expect(number).toBeGreaterThanOrEqual(end!);
      await expectAccessible(page);
    });
  });
}

test.describe('on a telephone', () => {
  test.use({ viewport: { width: 360, height: 640 }, mockOptions: { models: ['organisation/model-of-one-kind', 'other/model-of-another'] } });

  test('both models can be told apart before they are compared', async ({ page }) => {
    await page.getByRole('link', { name: 'Side by side' }).click();
    for (const [name, short] of [['Model A', 'model-of-one-kind'], ['Model B', 'model-of-another']] as const) {
      const choice = page.getByRole('combobox', { name });
      await expect(choice.locator('option:checked')).toHaveText(short);
      expect(await choice.evaluate((element) => element.scrollWidth <= element.clientWidth)).toBe(true);
      expect((await choice.boundingBox())!.width).toBeGreaterThan(200);
    }
  });

  test('with text twice as large everything is within reach', async ({ page }) => {
    await page.evaluate(() => (document.documentElement.style.fontSize = '32px'));
    await ask(page, 'tour');
    await expectAllWithin(page);
    await page.getByRole('button', { name: 'Show conversations' }).click();
    await expectNoSideScroll(page);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Parameters' }).click();
    await expectNoSideScroll(page);
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('link', { name: 'Side by side' }).click();
    await send(page, 'answer seven');
    await page.getByRole('button', { name: 'Tie' }).click();
    await expectAllWithin(page);
    await page.getByRole('link', { name: 'Comparison' }).click();
    await expectAllWithin(page);
  });

  test('a message that is edited stays in sight', async ({ page }) => {
    await ask(page, 'tour');
    await ask(page, 'second');
    await page.locator('.message.user').last().getByRole('button', { name: 'Edit' }).click();
    await expect(page.locator('form.edit')).toBeInViewport({ ratio: 0.99 });
    await page.waitForTimeout(300);
    await expect(page.locator('form.edit')).toBeInViewport({ ratio: 0.99 });
  });
});

test.describe('with two models of one name', () => {
  test.use({ mockOptions: { models: ['one/model', 'two/model'] } });
  test('they are shown with their folders', async ({ page }) => {
    await expect(page.getByRole('combobox', { name: 'Model' }).locator('option')).toHaveText(['one/model', 'two/model']);
  });
});

test.describe('in a window that is low', () => {
  test.use({ viewport: { width: 640, height: 360 } });
  test('a long draft leaves room for the answers, and stays within the window', async ({ page }) => {
    await ask(page, 'long');
    await composer(page).fill('line\n'.repeat(40));
    const [messages, form] = await Promise.all([page.locator('.messages').boundingBox(), page.locator('.composer').boundingBox()]);
    expect(messages!.height).toBeGreaterThan(70);
    expect(form!.y + form!.height).toBeLessThanOrEqual(360);
  });
});

test.describe('where the system chooses the colours', () => {
  test.use({ contextOptions: { forcedColors: 'active' } });
  test('the view and the conversation that are shown can be told', async ({ page }) => {
    await ask(page, 'first');
    await page.getByRole('link', { name: 'Side by side' }).hover();
    await expect(page.getByRole('link', { name: 'Chat' })).toHaveCSS('outline-style', 'solid');
    await expect(page.getByRole('link', { name: 'Side by side' })).toHaveCSS('outline-style', 'none');
    await expect(page.locator('.entry.active .entry-title')).toHaveCSS('outline-style', 'solid');
  });
});
