/** Nothing scrolls the page sideways, whatever is long: names, words, tables, reports. */
import { answers, ask, expect, expectNoSideScroll, send, test } from './fixture.ts';
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
  });
}
