import { ask, answers, composer, expect, expectAccessible, expectNoSideScroll, send, test } from './fixture.ts';

for (const theme of ['light', 'dark'] as const) {
  test.describe(`in ${theme}`, () => {
    test.use({ colorScheme: theme });
    test('axe finds nothing serious in any view', async ({ page }) => {
      await page.getByRole('button', { name: 'Parameters' }).click();
      await page.getByRole('checkbox', { name: /Record token probabilities/ }).check();
      await expectAccessible(page);
      await page.getByRole('button', { name: 'Close' }).click();
      await ask(page, 'tour');
      await page.locator('.thinking summary').click();
      await page.getByRole('button', { name: 'Tokens' }).click();
      await expectAccessible(page);
      await page.getByRole('link', { name: 'Side by side' }).click();
      await send(page, 'answer seven');
      await page.getByRole('button', { name: 'A is better' }).click();
      await page.getByText('Difference').click();
      await expectAccessible(page);
      await page.getByRole('link', { name: 'Comparison' }).click();
      await expectAccessible(page);
    });
  });
}

test('while the script is on its way, it is said that the page loads', async ({ page, mock }) => {
  let deliver = () => {};
  const wanted = new Promise<void>((resolve) => (deliver = resolve));
  await page.route('**/app.js', async (route) => {
    await wanted;
    await route.continue();
  });
  await page.goto(mock.url, { waitUntil: 'commit' });
  await expect(page.getByText('Loading…')).toBeVisible();
  await expectAccessible(page);
  deliver();
  await expect(composer(page)).toBeVisible();
  await expect(page.getByText('Loading…')).toHaveCount(0);
});

test.describe('without JavaScript', () => {
  test.use({ javaScriptEnabled: false });
  test('it is said that the page needs it, not that it loads', async ({ page }) => {
    await expect(page.locator('noscript p')).toBeInViewport();
    await expect(page.getByText('Loading…')).toBeHidden();
  });
});

test('the looks follow the system and can be chosen', async ({ page }) => {
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  await page.emulateMedia({ colorScheme: 'dark' });
  const dark = await paper();
  expect(dark).not.toBe(light);
  await page.getByRole('button', { name: /Appearance/ }).click();
  expect(await paper()).toBe(light);
  await page.reload();
  expect(await paper()).toBe(light);
});

test('everything can be reached and done with the keyboard', async ({ page }) => {
  await ask(page, 'hello');
  const reached = new Set<string>();
  await page.locator('h1').click();
  for (let press = 0; press < 30; press++) {
    await page.keyboard.press('Tab');
    reached.add(await page.evaluate(() => document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent?.trim() || ''));
  }
  for (const name of ['Side by side', 'New chat', 'Rename', 'Model', 'Parameters', 'Edit', 'Copy', 'Regenerate', 'Message']) {
    expect([...reached]).toContain(name);
  }
});

test('among fifty conversations the one that is shown is in sight, and the keyboard gets past them all', async ({ page }) => {
  const conversations = Array.from({ length: 50 }, (_, index) => ({
    title: `conversation ${index}`,
    updatedMs: 1_000 - index,
    messages: [{ id: 'first', parent: '', role: 'user', content: 'words' }],
  }));
  const file = JSON.stringify({ format: 'touchstone-conversations', version: 1, conversations });
  await page.getByLabel('Import', { exact: true }).last().setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from(file) });
  const last = page.getByRole('group', { name: 'conversation 49' });
  await last.getByRole('button', { name: 'conversation 49' }).click();
  await expect(page.locator('.entry.active')).toHaveAccessibleName('conversation 49');
  await page.reload();
  await expect(last).toBeInViewport();
  await expect(last.getByRole('button', { name: 'Delete' })).toBeVisible();
  await ask(page, 'more');
  await expect(page.locator('.entry').first()).toHaveAccessibleName('conversation 49');
  await expect(last).toBeInViewport();
  await page.reload();
  await expect(last).toBeInViewport();
  // A page that has just been loaded may not have the keyboard yet; one that is clicked has.
  await page.locator('h1').click();
  await page.keyboard.press('Shift+Tab');
  await expect(page.getByRole('button', { name: 'To the message field' })).toBeInViewport();
  await page.keyboard.press('Enter');
  await expect(composer(page)).toBeFocused();
});

test('the end of an answer is announced once, not word by word', async ({ page }) => {
  const live = page.locator('[aria-live]');
  await expect(live).toHaveCount(1);
  await send(page, 'count');
  await expect(answers(page)).toContainText('10 11');
  await expect(live).toHaveText('');
  await expect(live).toHaveText(/Answer complete, \d+ tokens\./);
});

test.describe('at 360 pixels', () => {
  test.use({ viewport: { width: 360, height: 700 }, hasTouch: true });
  test('nothing scrolls sideways and everything is within reach', async ({ page }) => {
    await ask(page, 'tour');
    await expectNoSideScroll(page);
    await page.getByRole('button', { name: 'Show conversations' }).click();
    await expect(page.getByRole('button', { name: 'New chat' })).toBeInViewport();
    await page.locator('.entry-title').click();
    await expect(composer(page)).toBeInViewport();
    await page.getByRole('button', { name: 'Parameters' }).click();
    await expectNoSideScroll(page);
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('link', { name: 'Side by side' }).click();
    await send(page, 'answer seven');
    await page.getByRole('button', { name: 'Tie' }).click();
    await expectNoSideScroll(page);
    await page.getByRole('button', { name: '中文' }).click();
    await expectNoSideScroll(page);
    await page.getByRole('link', { name: '评测报告' }).click();
    await expectNoSideScroll(page);
  });

  test('parameters that lie over the page close behind who leaves them', async ({ page }) => {
    const parameters = page.getByRole('complementary', { name: 'Parameters' });
    await page.getByRole('button', { name: 'Parameters' }).click();
    await parameters.getByRole('textbox', { name: 'top_p' }).focus();
    await expect(parameters).toBeVisible();
    await page.getByRole('button', { name: 'Close' }).focus();
    await page.keyboard.press('Shift+Tab');
    await expect(parameters).toHaveCount(0);
    await expect.poll(() => page.evaluate(() => document.activeElement?.tagName)).not.toBe('BODY');
  });

  test('the list of conversations takes the focus, keeps it, and gives it back', async ({ page }) => {
    await ask(page, 'hello');
    const menu = page.getByRole('button', { name: 'Show conversations' });
    await menu.focus();
    await page.keyboard.press('Enter');
    await expect(page.getByRole('button', { name: 'New chat' })).toBeFocused();
    await expect(page.locator('main')).toHaveAttribute('inert');
    await page.keyboard.press('Escape');
    await expect(menu).toBeFocused();
    await menu.click();
    await page.setViewportSize({ width: 1280, height: 800 });
    await expect(page.locator('main')).not.toHaveAttribute('inert');
  });
});

test('a field that is wrong says why', async ({ page }) => {
  await page.getByRole('button', { name: 'Parameters' }).click();
  const field = page.getByRole('textbox', { name: 'top_p' });
  await field.fill('7');
  await expect(field).toHaveAccessibleDescription('0 to 1');
  await field.fill('0.7');
  await expect(field).toHaveAccessibleDescription('');
});

test.describe('for who wants less motion', () => {
  test('nothing moves while a model thinks', async ({ page }) => {
    await page.emulateMedia({ reducedMotion: 'reduce' });
    await send(page, 'slow think');
    await expect(page.locator('.thinking.live summary')).toHaveCSS('animation-name', 'none');
  });
});
