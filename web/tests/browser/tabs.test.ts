/** Several tabs on one browser's storage, and storage that is full. */
import type { Page } from '@playwright/test';
import { answers, ask, composer, expect, send, test, watch } from './fixture.ts';

const said = (page: Page) => page.locator('.message.user .bubble');

test('two tabs in one conversation lose nothing of each other', async ({ page, context, mock, faults }) => {
  await ask(page, 'first');
  const other = await context.newPage();
  await watch(other, faults);
  await other.goto(mock.url);
  await expect(said(other)).toHaveText(['first']);
  await ask(page, 'from one');
  await expect(said(other)).toHaveText(['first', 'from one']);
  await expect(answers(other).last()).toContainText('You said: from one');
  // Both at once: a branch each, and each keeps its own in sight.
  await send(page, 'count');
  await send(other, 'slow and short');
  await expect(answers(other).last()).toContainText('You said: slow and short');
  await expect(answers(page).last()).toContainText('149 150');
  await expect(said(page)).toHaveText(['first', 'from one', 'count']);
  await expect(said(other)).toHaveText(['first', 'from one', 'slow and short']);
  for (const tab of [page, other]) {
    await expect(tab.locator('.branches')).toHaveCount(1);
    await tab.reload();
    await expect(tab.locator('.branches')).toHaveCount(1);
  }
});

test.describe('with an answer whose words come far apart', () => {
  test.use({ mockOptions: { delayMs: 600 } });
  test('the other tab is told when it has ended', async ({ page, context, mock, faults }) => {
    const other = await context.newPage();
    await watch(other, faults);
    await other.goto(mock.url);
    await ask(page, 'hi');
    await expect(other.locator('.entry-title')).toHaveText(['hi']);
    await other.locator('.entry-title').click();
    await expect(answers(other)).toContainText('You said: hi');
  });
});

test.describe('with an answer that takes long', () => {
  test.use({ mockOptions: { delayMs: 700 } });
  test('an answer that another tab writes is shown so until it has ended', async ({ page, context, mock, faults }) => {
    await send(page, 'say much: one two three four five six seven eight nine ten');
    await expect(answers(page)).toContainText('You');
    const other = await context.newPage();
    await watch(other, faults);
    await other.goto(mock.url);
    await expect(answers(other)).toContainText('Another tab is writing this answer');
    // Other tabs have been asked by then.
    await other.waitForTimeout(1_500);
    await expect(page.getByRole('button', { name: 'Stop' })).toBeVisible();
    await expect(answers(other)).toContainText('Another tab is writing this answer');
    await expect(answers(other)).not.toContainText('Interrupted');
    await expect(answers(other).getByRole('button', { name: 'Regenerate' })).toHaveCount(0);
    await page.getByRole('button', { name: 'Stop' }).click();
    await expect(answers(other)).toContainText('Stopped.');
    await expect(answers(other)).not.toContainText('Another tab');
  });

  test('an answer whose tab is closed in the midst of it is shown as interrupted', async ({ page, context, mock, faults }) => {
    await send(page, 'say much: one two three four five six seven eight nine ten');
    await expect(answers(page)).toContainText('You');
    const other = await context.newPage();
    await watch(other, faults);
    await other.goto(mock.url);
    await other.waitForTimeout(1_500);
    await expect(answers(other)).toContainText('Another tab is writing this answer');
    await expect(answers(page)).toContainText('say much');
    await expect(answers(other)).not.toContainText('say much');
    await page.close({ runBeforeUnload: true });
    await expect(answers(other)).toContainText('Interrupted');
    await expect(answers(other)).toContainText('say much');
    await expect(answers(other).getByRole('button', { name: 'Continue' })).toBeEnabled();
  });
});

/** Has all wait who want to read or write what is kept, until it is released. */
async function holdStorage(page: Page): Promise<() => Promise<void>> {
  await page.evaluate(async () => {
    const opened = await new Promise<IDBDatabase>((resolve) => {
      const request = indexedDB.open('touchstone');
      request.onsuccess = () => resolve(request.result);
    });
    const objects = opened.transaction(['conversations', 'votes'], 'readwrite').objectStore('conversations');
    const held = { isHeld: true };
    Object.assign(window, { held });
    const goOn = () => held.isHeld && (objects.get('none').onsuccess = goOn);
    goOn();
  });
  return () => page.evaluate(() => void ((window as unknown as { held: { isHeld: boolean } }).held.isHeld = false));
}

test('a tab that hears of a message while it reads what is kept shows the conversation, with all that is in it', async ({ page, context, mock, faults }) => {
  await ask(page, 'gone');
  await page.getByRole('button', { name: 'New chat' }).click();
  await ask(page, 'first');
  await ask(page, 'second');
  await expect(page.locator('.entry-title')).toHaveText(['first', 'gone']);
  const release = await holdStorage(page);
  const other = await context.newPage();
  await watch(other, faults);
  await other.goto(mock.url);
  await expect(other.getByText('What would you like to ask?')).toBeVisible();
  await ask(page, 'third');
  await page.getByRole('button', { name: 'Delete' }).last().click();
  await page.getByRole('button', { name: 'Really delete?' }).click();
  await release();
  await expect(said(other)).toHaveText(['first', 'second', 'third']);
  await expect(other.locator('.entry-title')).toHaveText(['first']);
});

test('what is typed while the page reads what is kept stays in its field', async ({ page, context, mock, faults }) => {
  await ask(page, 'first');
  const release = await holdStorage(page);
  const other = await context.newPage();
  await watch(other, faults);
  await other.goto(mock.url);
  await composer(other).pressSequentially('half a ');
  await release();
  await expect(other.locator('.entry-title')).toHaveText(['first']);
  await composer(other).pressSequentially('thought');
  await expect(composer(other)).toHaveValue('half a thought');
  await expect(answers(other)).toHaveCount(0);
});

test('what one tab deletes or begins, the other shows', async ({ page, context, mock, faults }) => {
  await ask(page, 'first');
  const other = await context.newPage();
  await watch(other, faults);
  await other.goto(mock.url);
  await other.getByRole('button', { name: 'New chat' }).click();
  await ask(other, 'second');
  await expect(page.locator('.entry-title')).toHaveText(['second', 'first']);
  await expect(said(page)).toHaveText(['first']);
  await page.getByRole('button', { name: 'Delete' }).last().click();
  await page.getByRole('button', { name: 'Really delete?' }).click();
  await expect(other.locator('.entry-title')).toHaveText(['second']);
});

test('deleting a conversation ends its request, though no word of the answer has come', async ({ page }) => {
  await page.route('**/v1/chat/completions', () => undefined);
  const aborted = page.waitForEvent('requestfailed', { timeout: 5_000 });
  await send(page, 'first');
  await expect(page.getByRole('button', { name: 'Stop' })).toBeVisible();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('button', { name: 'Really delete?' }).click();
  await aborted;
  await expect(page.locator('.entry')).toHaveCount(0);
});

test('a vote counts in every tab, and is gone from all when one deletes them', async ({ page, context, mock, faults }) => {
  const other = await context.newPage();
  await watch(other, faults);
  for (const tab of [page, other]) {
    await tab.goto(mock.url);
    await tab.getByRole('link', { name: 'Side by side' }).click();
  }
  for (const tab of [page, other]) {
    await send(tab, 'answer seven');
    await tab.getByRole('button', { name: 'Tie' }).click();
  }
  for (const tab of [page, other]) await expect(tab.getByRole('row', { name: /distilled · native/ }).getByRole('cell').nth(1)).toHaveText('2');
  await page.getByRole('button', { name: 'Delete votes' }).click();
  await page.getByRole('button', { name: 'Really delete?' }).click();
  for (const tab of [page, other]) await expect(tab.getByText('No blind votes on two different models yet.')).toBeVisible();
  await other.reload();
  await expect(other.getByText('No blind votes on two different models yet.')).toBeVisible();
});

test('storage that is full is said, and the chat goes on', async ({ page, context, mock }) => {
  const browser = await context.newCDPSession(page);
  await browser.send('Storage.overrideQuotaForOrigin', { origin: mock.url, quotaSize: 1 });
  await ask(page, 'first');
  await expect(page.getByText('This browser keeps nothing')).toBeVisible();
  await ask(page, 'second');
  await expect(said(page)).toHaveText(['first', 'second']);
  await expect(composer(page)).toBeEnabled();
});

test('a vote that storage has no room for is said to be lost with the page', async ({ page, context, mock }) => {
  const browser = await context.newCDPSession(page);
  await browser.send('Storage.overrideQuotaForOrigin', { origin: mock.url, quotaSize: 1 });
  await page.getByRole('link', { name: 'Side by side' }).click();
  await send(page, 'answer seven');
  await page.getByRole('button', { name: 'Tie' }).click();
  await expect(page.getByText('votes are lost when the page is closed')).toBeVisible();
});
