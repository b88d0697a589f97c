/** Pictures for the documentation, of made-up models: SCREENSHOTS=../docs npx playwright test screenshots */
import { ask, expect, send, test } from './fixture.ts';

const folder = process.env['SCREENSHOTS'];
test.skip(!folder, 'SCREENSHOTS names no folder');
test.use({ mockOptions: { models: ['example/model-a', 'example/model-b'] } });

for (const theme of ['light', 'dark'] as const) {
  test.describe(theme, () => {
    test.use({ colorScheme: theme });
    test(`chat, ${theme}`, async ({ page }) => {
      await ask(page, 'Compare 9.11 and 9.8');
      await page.getByRole('button', { name: 'New chat' }).click();
      await ask(page, 'tour');
      await page.mouse.move(0, 0);
      await page.screenshot({ path: `${folder}/page-chat-${theme}.png` });
      await page.getByRole('button', { name: 'Parameters' }).click();
      await page.getByRole('checkbox', { name: /Record token probabilities/ }).check();
      await ask(page, 'Tell me about token probabilities, please, in one line.');
      await page.getByRole('button', { name: 'Tokens' }).click();
      await page.getByRole('option').nth(4).click();
      await page.getByRole('button', { name: /Fork with/ }).first().scrollIntoViewIfNeeded();
      await page.screenshot({ path: `${folder}/page-tokens-${theme}.png` });
    });
  });
}

test.describe('side by side', () => {
  test.use({
    mockOptions: {
      models: ['example/model-a', 'example/model-b'],
      delayMs: (model: string, index: number) => (model.endsWith('b') ? 6 : 9) + ((index * 7) % 5) + (index === 9 ? 30 : 0),
    },
  });
  test('side by side', async ({ page }) => {
    await page.getByRole('link', { name: 'Side by side' }).click();
    await send(page, 'think: what is 3 + 4, and why?');
    await page.getByRole('button', { name: 'B is better' }).click();
    await expect(page.getByText('Vote counted')).toBeVisible();
    await page.screenshot({ path: `${folder}/page-side-by-side.png` });
  });
});

test.describe('on a telephone', () => {
  test.use({ viewport: { width: 360, height: 720 }, locale: 'zh-CN' });
  test('chat at 360 pixels', async ({ page }) => {
    await page.getByRole('textbox', { name: '消息' }).fill('tour');
    await page.keyboard.press('Enter');
    await expect(page.locator('.stats')).toContainText('上下文');
    await page.screenshot({ path: `${folder}/page-mobile.png` });
  });
});
