/**
 * The documentation's pictures, of a server that runs with two models, the first of which writes code:
 * SCREENSHOTS=../docs SERVER=http://127.0.0.1:7860 npx playwright test screenshots
 */
import { test as base } from '@playwright/test';
import { answers, ask, expect, send, watch } from './fixture.ts';

const folder = process.env['SCREENSHOTS'];
const server = process.env['SERVER'];

const test = base.extend({
  page: async ({ page }, use) => {
    const faults: string[] = [];
    await watch(page, faults);
    await page.addInitScript(() => {
      // The same answers, in the same order, whenever the pictures are made.
      localStorage.setItem('touchstone.settings', JSON.stringify({ values: { temperature: 0, max_tokens: 400 } }));
      Math.random = () => 0.9;
    });
    await page.goto(server!);
    await use(page);
    expect(faults).toEqual([]);
  },
});

test.skip(!folder || !server, 'SCREENSHOTS names no folder, or SERVER no server');

test('chat, light', async ({ page }) => {
  await ask(page, 'What is a touchstone?');
  await page.getByRole('button', { name: 'New chat' }).click();
  await ask(page, 'Write a Python function that returns the n-th Fibonacci number without recursion, and say its running time.');
  await page.mouse.move(0, 0);
  await page.screenshot({ path: `${folder}/page-chat-light.png` });
});

test.describe('in the dark', () => {
  test.use({ colorScheme: 'dark' });
  test('tokens, dark', async ({ page }) => {
    await page.getByRole('button', { name: 'Parameters' }).click();
    await page.getByRole('checkbox', { name: /Record token probabilities/ }).check();
    await ask(page, 'Name three colours of the rainbow, in one line.');
    await page.getByRole('button', { name: 'Tokens' }).click();
    await page.getByRole('option').nth(2).click();
    await page.getByRole('button', { name: /Fork with/ }).first().scrollIntoViewIfNeeded();
    await page.screenshot({ path: `${folder}/page-tokens-dark.png` });
  });
});

test.describe('side by side', () => {
  test('side by side', async ({ page }) => {
    await page.getByRole('link', { name: 'Side by side' }).click();
    await send(page, 'What is 17 + 26? Say how you add them, in two sentences.');
    await page.getByRole('textbox', { name: /right answer/ }).fill('43');
    await page.getByRole('button', { name: 'A is better' }).click();
    await expect(page.getByText('Vote counted')).toBeVisible();
    await page.getByText('Difference').click();
    await page.screenshot({ path: `${folder}/page-side-by-side.png` });
  });
});

test.describe('on a telephone', () => {
  test.use({ viewport: { width: 360, height: 720 }, locale: 'zh-CN' });
  test('chat at 360 pixels', async ({ page }) => {
    await page.getByRole('textbox', { name: '消息' }).fill('用 Python 写一个判断质数的函数。');
    await page.keyboard.press('Enter');
    await expect(answers(page).locator('.stats')).toContainText('上下文');
    await answers(page).evaluate((element) => element.scrollIntoView());
    await page.screenshot({ path: `${folder}/page-mobile.png` });
  });
});
