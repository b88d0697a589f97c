import { answers, ask, expect, test } from './fixture.ts';

test('what a model writes never becomes script, style, frame, form or foreign picture', async ({ page }) => {
  await ask(page, 'hostile');
  const answer = answers(page).locator('.markdown');
  await expect(answer).toContainText('end of hostile text');
  await expect(answer.locator('script, iframe, style, form, img, object, embed, link, [onerror], [onload]')).toHaveCount(0);
  const links = await answer.locator('a').evaluateAll((all) => all.map((link) => (link as HTMLAnchorElement).href));
  expect(links.filter((href) => !/^https?:/.test(href))).toEqual([]);
  expect(await page.evaluate(() => (window as unknown as { hacked?: number }).hacked)).toBeUndefined();
  await expect(answer).toContainText('⟨U+202E⟩reversed');
  // Nothing covers the page.
  await page.getByRole('button', { name: 'New chat' }).click();
  await expect(page.getByText('What would you like to ask?')).toBeVisible();
});

for (const name of ['long line', 'long words', 'long code']) {
  test(`a megabyte in one line (${name}) leaves the page usable`, async ({ page }) => {
    await ask(page, name);
    await expect(answers(page)).toContainText('… (+');
    const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
    expect(content).toBeLessThanOrEqual(window!);
    await ask(page, 'still alive');
    await expect(answers(page).last()).toContainText('You said: still alive');
    await page.reload();
    await expect(answers(page).last()).toContainText('You said: still alive');
  });
}

test('an unclosed fence is code to its end', async ({ page }) => {
  await ask(page, 'open fence');
  await expect(answers(page).locator('.code code')).toContainText('# **not bold**');
  await expect(answers(page).locator('.code .copy-code')).toBeVisible();
  await ask(page, 'next');
  await expect(answers(page).last().locator('.markdown p')).toHaveText('You said: next');
});

test('thousands of nested quotes and lists are drawn', async ({ page }) => {
  await ask(page, 'deep quote');
  await expect(answers(page)).toContainText('item');
});

test('a formula too deep for the browser to lay out is shown as its source', async ({ page }) => {
  await ask(page, 'deep formula');
  await expect(answers(page).locator('.math.unreadable')).toHaveCount(1);
  await page.reload();
  await expect(answers(page).locator('.math.unreadable')).toHaveCount(1);
});

test('text from right to left is laid out so, and turns nothing else', async ({ page }) => {
  await ask(page, 'rtl');
  const paragraphs = answers(page).locator('.markdown p');
  const direction = (index: number) => paragraphs.nth(index).evaluate((element) => getComputedStyle(element).direction);
  expect(await direction(0)).toBe('rtl');
  expect(await direction(1)).toBe('rtl');
  expect(await direction(2)).toBe('ltr');
  await expect(answers(page).locator('.stats')).toHaveCSS('direction', 'ltr');
});

test('what the reader writes from right to left stands where all that is written stands', async ({ page }) => {
  await ask(page, 'short');
  await ask(page, 'مرحبا بالعالم');
  const ends = await page.locator('.bubble').evaluateAll((bubbles) => bubbles.map((bubble) => bubble.getBoundingClientRect().right));
  expect(ends[1]).toBe(ends[0]);
});
