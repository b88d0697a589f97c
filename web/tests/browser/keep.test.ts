import { answers, ask, composer, expect, send, test } from './fixture.ts';
import type { Page } from '@playwright/test';

const focused = (page: Page) =>
  page.evaluate(() => document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent?.trim() || document.activeElement?.tagName);

test('what is typed outlives other views, other chats, other models and a reload', async ({ page }) => {
  await ask(page, 'first');
  await composer(page).fill('half a thought');
  await page.getByRole('combobox', { name: 'Model' }).selectOption('demo/native');
  await expect(composer(page)).toHaveValue('half a thought');
  await page.getByRole('link', { name: 'Side by side' }).click();
  await composer(page).fill('for both');
  await page.getByRole('link', { name: 'Chat' }).click();
  await expect(composer(page)).toHaveValue('half a thought');
  await page.getByRole('button', { name: 'New chat' }).click();
  await expect(composer(page)).toHaveValue('');
  await composer(page).fill('another chat');
  await page.locator('.entry-title').click();
  await expect(composer(page)).toHaveValue('half a thought');
  await page.reload();
  await expect(composer(page)).toHaveValue('half a thought');
  await ask(page, 'half a thought');
  await page.reload();
  await expect(composer(page)).toHaveValue('');
  await page.getByRole('link', { name: 'Side by side' }).click();
  await expect(composer(page)).toHaveValue('for both');
});

test('a text that comes in a thousand steps is not stored a thousand times, and is kept', async ({ page }) => {
  await page.evaluate(() => {
    const { setItem } = Storage.prototype;
    Storage.prototype.setItem = function (key, value) {
      if (key === 'touchstone.drafts') document.documentElement.dataset['writes'] = String(Number(document.documentElement.dataset['writes'] ?? 0) + 1);
      setItem.call(this, key, value);
    };
  });
  const text = Array.from({ length: 500 }, (_, line) => `line ${line}`).join('\n');
  await composer(page).focus();
  await page.keyboard.insertText(text);
  await expect.poll(async () => Number(await page.locator('html').getAttribute('data-writes'))).toBeGreaterThan(0);
  expect(Number(await page.locator('html').getAttribute('data-writes'))).toBeLessThan(20);
  await page.keyboard.insertText(' and its end');
  await page.reload();
  await expect(composer(page)).toHaveValue(`${text} and its end`);
});

test('the list of conversations begins with the newest, and stands so after a reload', async ({ page }) => {
  const titles = page.locator('.entry-title');
  await ask(page, 'first');
  await page.getByRole('button', { name: 'New chat' }).click();
  await ask(page, 'second');
  await page.getByRole('button', { name: 'first', exact: true }).click();
  await expect(titles).toHaveText(['second', 'first']);
  await ask(page, 'more');
  await expect(titles).toHaveText(['first', 'second']);
  const older = { title: 'older', updatedMs: 1, messages: [{ id: 'a', parent: '', role: 'user', content: 'words' }] };
  const file = JSON.stringify({ format: 'touchstone-conversations', version: 1, conversations: [older] });
  await page.getByLabel('Import', { exact: true }).last().setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from(file) });
  await expect(page.locator('.message.user .bubble')).toHaveText(['words']);
  await expect(titles).toHaveText(['first', 'second', 'older']);
  await page.reload();
  await expect(titles).toHaveText(['first', 'second', 'older']);
});

test('Back, Forward and a reload lead to the conversation that was shown', async ({ page, mock }) => {
  const shown = page.locator('.message.user .bubble');
  await ask(page, 'first');
  await page.getByRole('button', { name: 'New chat' }).click();
  await ask(page, 'second');
  await page.getByRole('button', { name: 'first', exact: true }).click();
  await expect(shown).toHaveText('first');
  await page.reload();
  await expect(shown).toHaveText('first');
  await page.getByRole('link', { name: 'Side by side' }).click();
  await page.getByRole('link', { name: 'Chat' }).click();
  await page.goBack();
  await expect(page.getByRole('link', { name: 'Side by side' })).toHaveAttribute('aria-current', 'page');
  await page.goBack();
  await expect(shown).toHaveText('first');
  await page.goBack();
  await expect(shown).toHaveText('second');
  await page.goForward();
  await expect(shown).toHaveText('first');
  await page.getByRole('button', { name: 'Delete' }).last().click();
  await page.getByRole('button', { name: 'Really delete?' }).click();
  await expect(shown).toHaveText('second');
  await page.getByRole('button', { name: 'New chat' }).click();
  await page.reload();
  await expect(page.getByText('What would you like to ask?')).toBeVisible();
  await page.goto('about:blank');
  await page.goto(`${mock.url}/#chat/of-another-browser`);
  await expect(shown).toHaveText('second');
});

test('what is seen of an import is kept, however much it is', async ({ page }) => {
  const conversations = Array.from({ length: 400 }, (_, index) => ({
    title: `conversation ${index}`,
    messages: [{ id: 'first', parent: '', role: 'user', content: 'words '.repeat(1_000) }],
  }));
  const file = JSON.stringify({ format: 'touchstone-conversations', version: 1, conversations });
  await page.getByLabel('Import', { exact: true }).last().setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from(file) });
  await expect(page.locator('.entry-title')).toHaveCount(400);
  await page.reload();
  await expect(page.locator('.entry-title')).toHaveCount(400);
});

test('of an import the sound conversations are kept, and how many were left out is said, and why', async ({ page }) => {
  const talk = (title: string, message: object) => ({ title, updatedMs: 1_000 - title.length, messages: [{ id: 'first', parent: '', role: 'user', ...message }] });
  const put = (conversations: object[]) => {
    const buffer = Buffer.from(JSON.stringify({ format: 'touchstone-conversations', version: 1, conversations }));
    return page.getByLabel('Import', { exact: true }).last().setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer });
  };
  await put([talk('damaged', {}), { title: 'without messages' }]);
  await expect(page.getByRole('alert')).toHaveText('This file cannot be read: a message has no text.');
  await expect(page.locator('.entry-title')).toHaveCount(0);
  await put([talk('one', { content: 'a' }), talk('damaged', {}), { title: 'without messages' }, talk('damaged', {}), talk('second', { content: 'b' })]);
  await expect(page.getByRole('alert')).toHaveText('Left out 3 of 5 conversations, which cannot be read: a message has no text; a conversation has no messages.');
  await expect(page.locator('.entry-title')).toHaveText(['one', 'second']);
  await page.reload();
  await expect(page.locator('.entry-title')).toHaveText(['one', 'second']);
  await put([talk('three', { content: 'c' })]);
  await expect(page.locator('.entry-title')).toHaveCount(3);
  await expect(page.getByRole('alert')).toHaveCount(0);
});

test('kept records that cannot be read hide nothing else, stay kept, and are said to be there', async ({ page }) => {
  await ask(page, 'first');
  await page.getByRole('link', { name: 'Side by side' }).click();
  await send(page, 'answer seven');
  await page.getByRole('button', { name: 'Tie' }).click();
  const change = (put: boolean) =>
    page.evaluate(async (put) => {
      const opened = await new Promise<IDBDatabase>((resolve) => {
        const request = indexedDB.open('touchstone');
        request.onsuccess = () => resolve(request.result);
      });
      const transaction = opened.transaction(['conversations', 'votes'], 'readwrite');
      const stores = ['conversations', 'votes'].map((name) => transaction.objectStore(name));
      if (put) for (const store of stores) ['of old', 'foreign'].forEach((id) => store.put({ id, title: 'x', messages: [null] }));
      const counts = stores.map((store) => store.count());
      await new Promise((resolve) => (transaction.oncomplete = resolve));
      opened.close();
      return counts.map((count) => count.result);
    }, put);
  expect(await change(true)).toEqual([3, 3]);
  await page.reload();
  await expect(page.getByRole('row', { name: /distilled · native/ }).getByRole('cell').nth(1)).toHaveText('1');
  await expect(page.getByText('This browser keeps 2 more that this page cannot read.')).toBeVisible();
  await page.getByRole('link', { name: 'Chat' }).click();
  await expect(page.locator('.entry-title')).toHaveText(['first']);
  await expect(answers(page)).toContainText('You said: first');
  await expect(page.getByText('This browser keeps 2 more that this page cannot read.')).toBeVisible();
  await expect(page.getByText('This browser keeps nothing')).toHaveCount(0);
  await ask(page, 'second');
  expect(await change(false)).toEqual([3, 3]);
});

test('an edit that is not sent outlives other views and a reload, until it is given up', async ({ page }) => {
  await ask(page, 'first');
  const edit = page.locator('.edit textarea');
  await page.locator('.message.user').getByRole('button', { name: 'Edit' }).click();
  await edit.fill('a long correction');
  await page.getByRole('link', { name: 'Comparison' }).click();
  await page.getByRole('link', { name: 'Chat' }).click();
  await expect(edit).toHaveValue('a long correction');
  await page.reload();
  await expect(edit).toHaveValue('a long correction');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await page.reload();
  await expect(answers(page)).toHaveCount(1);
  await expect(edit).toHaveCount(0);
});

test('focus goes back to what opened a part of the page', async ({ page }) => {
  await ask(page, 'first');
  for (const name of ['Edit', 'Rename', 'Delete', 'Parameters']) {
    await page.getByRole('button', { name, exact: true }).focus();
    await page.keyboard.press('Enter');
    const close = page.getByRole('button', { name: /^(Cancel|Close)$/ });
    await close.focus();
    await page.keyboard.press('Enter');
    await expect.poll(() => focused(page), name).toBe(name);
  }
});

test('focus stays near when a button that has it goes', async ({ page }) => {
  await send(page, 'count');
  await page.getByRole('button', { name: 'Stop' }).focus();
  await page.keyboard.press('Enter');
  await expect(answers(page)).toContainText('Stopped.');
  await expect.poll(() => focused(page)).toBe('Message');
  await page.getByRole('button', { name: 'Regenerate' }).focus();
  await page.keyboard.press('Enter');
  await expect(answers(page)).toContainText('10 11');
  await expect.poll(() => focused(page)).not.toBe('BODY');
  expect(await page.evaluate(() => document.activeElement === document.body)).toBe(false);
});

test('focus goes to what follows the part of the page that is gone', async ({ page }) => {
  for (const text of ['first', 'second', 'third']) {
    await page.getByRole('button', { name: 'New chat' }).click();
    await expect(composer(page)).toBeFocused();
    await ask(page, text);
  }
  await page.locator('.entry').nth(1).getByRole('button', { name: 'Delete' }).press('Enter');
  await page.getByRole('button', { name: 'Really delete?' }).press('Enter');
  await expect(page.locator('.entry-title')).toHaveText(['third', 'first']);
  await expect.poll(() => focused(page)).toBe('first');
  await send(page, 'count');
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(composer(page)).toBeFocused();
});

for (const width of [1200, 360]) {
  test(`when the last conversation is deleted, ${width} pixels wide, a new one can be begun at once`, async ({ page }) => {
    await page.setViewportSize({ width, height: 700 });
    await ask(page, 'only');
    if (width < 768) await page.getByRole('button', { name: 'Show conversations' }).press('Enter');
    await page.getByRole('button', { name: 'Delete' }).press('Enter');
    await page.getByRole('button', { name: 'Really delete?' }).press('Enter');
    await expect(page.locator('.entry')).toHaveCount(0);
    await expect(composer(page)).toBeFocused();
    await page.keyboard.type('next');
    await page.keyboard.press('Enter');
    await expect(answers(page)).toContainText('You said: next');
  });
}

test('after a vote the focus is where it is said whose answers they were', async ({ page }) => {
  await page.getByRole('link', { name: 'Side by side' }).click();
  await send(page, 'answer seven');
  await page.getByRole('button', { name: 'Tie' }).press('Enter');
  await expect(page.getByText(/Vote counted\./)).toBeFocused();
  await page.keyboard.press('Tab');
  await expect(page.getByText('Difference', { exact: true })).toBeFocused();
});

test('the parameters take the focus, and Escape gives it back', async ({ page }) => {
  await page.getByRole('button', { name: 'Parameters' }).press('Enter');
  await page.keyboard.press('Tab');
  await expect(page.getByRole('textbox', { name: 'System prompt' })).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(page.getByRole('button', { name: 'Parameters' })).toBeFocused();
});

test('a half-written edit keeps the focus where it is while the page is drawn anew', async ({ page }) => {
  await ask(page, 'first');
  await page.getByRole('button', { name: 'Edit' }).click();
  await page.locator('.edit textarea').fill('changed');
  await page.locator('.edit').getByRole('button', { name: 'Cancel' }).focus();
  await page.getByRole('button', { name: '中文' }).dispatchEvent('click');
  await expect(page.locator('.edit').getByRole('button', { name: '取消' })).toBeFocused();
});
