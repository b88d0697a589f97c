import { answers, ask, composer, expect, expectAccessible, send, test } from './fixture.ts';
import { startMock } from '../mock/server.mjs';

test('an answer streams in as Markdown, with thinking folded and figures below', async ({ page, mock }) => {
  await ask(page, 'tour');
  const answer = answers(page);
  await expect(answer.locator('strong').first()).toHaveText('short tour');
  await expect(answer.locator('.katex').first()).toBeVisible();
  await expect(answer.locator('.math.display .katex-display')).toHaveCount(1);
  await expect(answer.locator('td.align-right').first()).toHaveText('72 %');
  await expect(answer.locator('.hljs-keyword').first()).toHaveText('def');
  await expect(answer.locator('blockquote')).toContainText('Costs $5 today and $6 tomorrow');
  const thinking = answer.locator('details.thinking');
  await expect(thinking.locator('summary')).toHaveText(/Thought for .* \d+ tokens/);
  await expect(thinking.locator('.markdown')).toHaveCount(0);
  await thinking.locator('summary').click();
  await expect(thinking).toContainText('First I look at the question');
  await expect(answer.locator('.stats')).toHaveText(/\d+ tokens.*tok\/s.*TTFT.*Context \d+ \/ 4,096/);
  expect(mock.requests[0].stream_options).toEqual({ include_usage: true });
});

test('code is copied by its button', async ({ page }) => {
  await ask(page, 'tour');
  await page.locator('.copy-code').click();
  await expect(page.locator('.copy-code')).toHaveText('Copied');
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain('def fib(n: int) -> int:\n');
});

test('stop ends the request and keeps what has come', async ({ page, mock }) => {
  await send(page, 'count');
  await expect(answers(page)).toContainText('10 11');
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(answers(page)).toContainText('Stopped.');
  await expect.poll(() => mock.aborted).toBe(1);
  await expect(answers(page)).toContainText('10 11');
  await expect(answers(page)).not.toContainText(' 150');
});

test('Escape stops, Shift+Enter breaks the line', async ({ page, mock }) => {
  await composer(page).fill('count');
  await composer(page).press('Shift+Enter');
  expect(mock.requests).toHaveLength(0);
  await composer(page).fill('count');
  await composer(page).press('Enter');
  await expect(answers(page)).toContainText('5 6');
  await composer(page).press('Escape');
  await expect(answers(page)).toContainText('Stopped.');
});

test('a stopped answer goes on where it broke off', async ({ page, mock }) => {
  await send(page, 'count');
  await expect(answers(page)).toContainText('5 6');
  await page.getByRole('button', { name: 'Stop' }).click();
  await answers(page).getByRole('button', { name: 'Continue' }).click();
  await expect(answers(page)).toContainText('148 149 150');
  await expect(answers(page)).toContainText('2 of 2');
  const request = mock.requests[1];
  expect(request.continue_final_message).toBe(true);
  expect(request.messages.at(-1)).toMatchObject({ role: 'assistant' });
  expect(request.messages.at(-1).content).toContain('5 6');
});

test('a message that is edited begins a branch, and both can be seen', async ({ page, mock }) => {
  await ask(page, 'first');
  await ask(page, 'second');
  const user = page.locator('.message.user');
  await user.first().getByRole('button', { name: 'Edit' }).click();
  await page.getByRole('textbox', { name: 'Edit message' }).fill('changed');
  await expect(composer(page)).toHaveCount(1);
  await page.locator('.edit').getByRole('button', { name: 'Send' }).click();
  await expect(answers(page)).toHaveCount(1);
  await expect(answers(page)).toContainText('You said: changed');
  expect(mock.requests[2].messages).toEqual([{ role: 'user', content: 'changed' }]);
  await user.first().getByRole('button', { name: 'Previous branch' }).click();
  await expect(answers(page)).toHaveCount(2);
  await expect(answers(page).last()).toContainText('You said: second');
  await user.first().getByRole('button', { name: 'Next branch' }).click();
  await expect(answers(page)).toContainText('You said: changed');
});

test('regenerating puts a second answer beside the first', async ({ page, mock }) => {
  await ask(page, 'again');
  await answers(page).getByRole('button', { name: 'Regenerate' }).click();
  await expect(answers(page)).toContainText('2 of 2');
  expect(mock.requests[1].messages).toEqual(mock.requests[0].messages);
  await answers(page).getByRole('button', { name: 'Previous branch' }).click();
  await expect(answers(page)).toContainText('1 of 2');
});

test('later turns carry the conversation without its thinking', async ({ page, mock }) => {
  await ask(page, 'think');
  await ask(page, 'next');
  expect(mock.requests[1].messages).toEqual([
    { role: 'user', content: 'think' },
    { role: 'assistant', content: 'You said: think' },
    { role: 'user', content: 'next' },
  ]);
});

test('thinking is cut short on demand', async ({ page, mock }) => {
  await send(page, 'slow think');
  await page.getByRole('button', { name: 'Answer now' }).click();
  await expect(answers(page)).toContainText('You said: slow think');
  await expect(answers(page)).toHaveCount(1);
  await expect(answers(page)).not.toContainText('2 of 2');
  // In the stream that was under way, by the server's own way of ending it.
  expect(mock.endedThinking).toHaveLength(1);
  expect(mock.requests).toHaveLength(1);
  expect(mock.aborted).toBe(0);
  await answers(page).locator('.thinking summary').click();
  await expect(answers(page).locator('.thinking')).not.toContainText('it is.');
});

test('thinking that cannot be cut short goes on, and why is said', async ({ page }) => {
  await page.route('**/answer_now', (route) => route.fulfill({ status: 500, body: '{"error": {"message": "the engine is gone"}}' }));
  await send(page, 'slow think');
  await page.getByRole('button', { name: 'Answer now' }).click();
  await expect(page.getByRole('alert')).toContainText('The thinking goes on: the engine is gone.');
  await expect(answers(page)).toContainText('You said: slow think');
});

test('a reload in mid-stream keeps what has come, and says so', async ({ page }) => {
  await send(page, 'count');
  await expect(answers(page)).toContainText('30 31');
  await page.reload();
  await expect(answers(page)).toContainText('Interrupted');
  await expect(answers(page)).toContainText('10 11');
  await answers(page).getByRole('button', { name: 'Regenerate' }).click();
  await expect(answers(page)).toContainText('148 149 150');
});

test('a server that restarts in mid-stream leaves an error and a retry that works', async ({ page, mock }) => {
  await send(page, 'count');
  await expect(answers(page)).toContainText('10 11');
  await mock.close();
  await expect(answers(page)).toContainText('The connection to the server broke.');
  await expect(answers(page)).toContainText('10 11');
  await expect(page.locator('.notice')).toContainText('does not answer');
  const again = await startMock({ port: mock.port });
  await expect(page.locator('.notice')).toBeHidden();
  await page.getByRole('button', { name: 'Retry' }).click();
  await expect(answers(page)).toContainText('148 149 150');
  await again.close();
});

test('a stream that is cut is an error, and so is an error event', async ({ page }) => {
  await send(page, 'cut');
  await expect(answers(page)).toContainText('The connection to the server broke.');
  await send(page, 'mid error');
  await expect(answers(page).last()).toContainText('the engine failed');
});

const MID_STREAM: [string, string, string][] = [
  ['shutting_down', 'The server is shutting down.', '服务器正在关闭。'],
  ['deadline_exceeded', 'The time for the answer was over before it was complete.', '时间已到，回答尚未完成。'],
  ['model_not_found', 'The server does not serve this model. what the server says', '服务器未提供此模型。'],
  ['queue_full', 'The server is busy. what the server says', '服务器繁忙。'],
  ['toString', 'The server failed. what the server says', '服务器出错。'],
];
test('an error in mid-stream keeps what has come, says what happened in both languages, and the answer goes on', async ({ page, mock }) => {
  for (const [code, said] of MID_STREAM) {
    await send(page, `fails: ${code}`);
    await expect(answers(page).last().locator('.ending')).toHaveText(said);
    await expect(answers(page).last().locator('.markdown')).toContainText('You said');
  }
  await answers(page).last().getByRole('button', { name: 'Continue' }).click();
  await expect(answers(page).last()).toContainText('2 of 2');
  expect(mock.requests.at(-1).messages.at(-1)).toEqual({ role: 'assistant', content: 'You said:' });
  await page.getByRole('button', { name: 'Previous branch' }).click();
  await page.getByRole('button', { name: '中文' }).click();
  for (const [index, [, , said]] of MID_STREAM.entries()) await expect(answers(page).nth(index).locator('.ending')).toContainText(said);
});

test('where the context is full, the answer does not go on and a new chat is offered', async ({ page }) => {
  await send(page, 'fails: context_length_exceeded');
  await expect(answers(page).locator('.ending')).toContainText('longer than the model’s context');
  await expect(answers(page).getByRole('button', { name: 'Continue' })).toHaveCount(0);
  await answers(page).getByRole('button', { name: 'New chat' }).click();
  await expect(answers(page)).toHaveCount(0);
  await ask(page, 'fill');
  await expect(answers(page).locator('.ending')).toHaveText(/the model’s context is full/);
  await expect(answers(page).getByRole('button', { name: 'Continue' })).toHaveCount(0);
});

test('a busy server is asked again when it says, which is counted down and announced once', async ({ page, mock }) => {
  mock.isBusy = true;
  await page.evaluate(() => {
    const said: string[] = [];
    new MutationObserver(() => said.push(document.querySelector('[aria-live]')!.textContent!)).observe(document.querySelector('[aria-live]')!, {
      childList: true,
      characterData: true,
      subtree: true,
    });
    Object.assign(window, { said });
  });
  await send(page, 'wait');
  const timer = page.getByRole('timer');
  await expect(timer).toHaveText('The server is busy. Trying again in 7 s.');
  await expect(timer).toHaveText('The server is busy. Trying again in 5 s.');
  expect(await page.evaluate(() => (window as unknown as { said: string[] }).said)).toEqual(['The server is busy. Trying again in 7 s.']);
  await expectAccessible(page);
  await page.getByRole('button', { name: '中文' }).click();
  await expect(timer).toHaveText(/服务器繁忙，\d 秒后自动重试。/);
  mock.isBusy = false;
  await page.getByRole('button', { name: '立即重试' }).focus();
  await page.keyboard.press('Enter');
  await expect(answers(page)).toContainText('You said: wait');
  await expect(answers(page)).toHaveCount(1);
  await expect(timer).toHaveCount(0);
  expect(mock.requests).toHaveLength(2);
});

test('a busy server is asked again by itself until it answers', async ({ page, mock }) => {
  mock.isBusy = true;
  await send(page, 'briefly');
  await expect.poll(() => mock.requests.length).toBeGreaterThan(2);
  mock.isBusy = false;
  await expect(answers(page)).toContainText('You said: briefly');
  // The wait is no part of the time to the first token.
  await expect(answers(page).locator('.stats')).toContainText(/TTFT [\d.]+ ms/);
});

test('the wait for a busy server is given up with Cancel, Stop and Escape', async ({ page, mock }) => {
  const cancel = () => page.getByRole('button', { name: 'Cancel' }).click();
  const stop = () => page.getByRole('button', { name: 'Stop' }).click();
  for (const giveUp of [cancel, stop, () => composer(page).press('Escape')]) {
    await send(page, 'busy');
    await expect(page.getByRole('timer')).toBeVisible();
    await giveUp();
    await expect(page.getByRole('timer')).toHaveCount(0);
    await expect(answers(page).last().getByRole('button', { name: 'Retry' })).toBeVisible();
  }
  expect(mock.requests).toHaveLength(3);
});

test('refusals say why, and when to come again', async ({ page }) => {
  await send(page, 'busy');
  await page.getByRole('button', { name: 'Cancel' }).click();
  await expect(answers(page).last()).toContainText('Try again in 7 s.');
  await send(page, 'refused');
  await expect(answers(page).last()).toContainText('temperature must be between 0 and 2');
  await page.getByRole('button', { name: 'Retry' }).last().click();
  await expect(answers(page).last()).not.toContainText('2 of');
});

test('a failure is announced in the language of the page', async ({ page }) => {
  await send(page, 'refused');
  await expect(page.locator('[aria-live]')).toHaveText('The answer failed. The server refused the request.');
  await page.getByRole('button', { name: '中文' }).click();
  await page.getByRole('button', { name: '重试' }).click();
  await expect(page.locator('[aria-live]')).toHaveText('回答失败。服务器拒绝了请求。');
});

test('a server that still loads is waited for', async ({ page, mock }) => {
  await ask(page, 'hello');
  mock.isLoading = true;
  await send(page, 'again');
  await expect(answers(page).last()).toContainText('The server is still loading its models.');
  await expect(page.locator('[aria-live]')).toHaveText('The answer failed. The server is still loading its models.');
  await expect(page.locator('.notice')).toContainText('loading its models');
  mock.isLoading = false;
  await expect(page.locator('.notice')).toBeHidden();
  await page.getByRole('button', { name: 'Retry' }).click();
  await expect(answers(page).last()).toContainText('You said: again');
});

test('a conversation beyond the context says what to do', async ({ page }) => {
  await send(page, 'too long');
  await expect(answers(page)).toContainText('begin a new chat');
  await expect(answers(page)).toContainText('5000 tokens');
});

test('conversations are kept, renamed, exported, deleted and imported', async ({ page }) => {
  await ask(page, 'keep me');
  await page.reload();
  await expect(answers(page)).toContainText('You said: keep me');
  await page.getByRole('button', { name: 'Rename' }).click();
  await page.getByRole('textbox', { name: 'New name' }).fill('My title');
  await page.keyboard.press('Enter');
  await expect(page.locator('.entry-title')).toHaveText('My title');
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Export' }).click();
  const file = await (await download).path();
  await page.getByRole('button', { name: 'Delete' }).click();
  await page.getByRole('button', { name: 'Really delete?' }).click();
  await expect(page.locator('.entry-title')).toHaveCount(0);
  await page.reload();
  await expect(page.locator('.entry-title')).toHaveCount(0);
  await page.getByLabel('Import', { exact: true }).last().setInputFiles(file);
  await expect(page.locator('.entry-title')).toHaveText('My title');
  await expect(answers(page)).toContainText('You said: keep me');
  await page.getByLabel('Import', { exact: true }).last().setInputFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from('{"a":1}') });
  await expect(page.getByRole('alert')).toContainText('not a file of conversations');
});

test('parameters show the defaults of the model and are sent when set', async ({ page, mock }) => {
  await page.getByRole('button', { name: 'Parameters' }).click();
  const temperature = page.getByRole('textbox', { name: 'temperature' });
  await expect(temperature).toHaveAttribute('placeholder', '0.6');
  await expect(page.getByRole('textbox', { name: 'min_p' })).toHaveAttribute('placeholder', 'model default');
  await temperature.pressSequentially('0.25');
  await page.getByRole('textbox', { name: 'top_p' }).fill('7');
  await expect(page.getByText('0 to 1', { exact: true })).toBeVisible();
  await page.getByRole('textbox', { name: 'System prompt' }).fill('Be brief.');
  await page.getByRole('textbox', { name: 'Stop strings' }).fill('END\n\nSTOP');
  await ask(page, 'hello');
  expect(mock.requests[0]).toMatchObject({ temperature: 0.25, stop: ['END', 'STOP'] });
  expect(mock.requests[0]).not.toHaveProperty('top_p');
  expect(mock.requests[0].messages[0]).toEqual({ role: 'system', content: 'Be brief.' });
  await page.reload();
  await page.getByRole('button', { name: 'Parameters' }).click();
  await expect(temperature).toHaveValue('0.25');
  await page.getByRole('button', { name: 'Reset to defaults' }).click();
  await expect(temperature).toHaveValue('');
});

test('tokens show probability and alternatives, and fork', async ({ page, mock }) => {
  await page.getByRole('button', { name: 'Parameters' }).click();
  await page.getByRole('checkbox', { name: /Record token probabilities/ }).check();
  await ask(page, 'alpha beta gamma');
  expect(mock.requests[0]).toMatchObject({ logprobs: true, top_logprobs: 10 });
  await page.getByRole('button', { name: 'Tokens' }).click();
  const list = page.getByRole('listbox');
  await list.focus();
  for (let step = 0; step < 2; step++) await page.keyboard.press('ArrowRight');
  await expect(page.locator('.token-detail')).toContainText('probability 90 %');
  await expect(page.locator('.token-detail')).toContainText(/entropy ≥ 0\.\d+ bits/);
  await page.getByRole('button', { name: /Fork with ␣other/ }).click();
  await expect(answers(page)).toContainText('2 of 2');
  await expect(answers(page)).toContainText('You said: other (goes on)');
  expect(mock.requests[1].messages.at(-1)).toEqual({ role: 'assistant', content: 'You said: other' });
});

test('the language follows the browser, and is chosen and kept', async ({ page }) => {
  await expect(page).toHaveTitle('💬 distilled inference service');
  await page.getByRole('button', { name: '中文' }).click();
  await expect(page).toHaveTitle('💬 distilled 推理服务');
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('💬 distilled 推理服务');
  await page.reload();
  await expect(page).toHaveTitle('💬 distilled 推理服务');
  await expect(page.locator('html')).toHaveAttribute('lang', 'zh-CN');
  await page.getByRole('button', { name: 'EN' }).click();
  await expect(page.locator('html')).toHaveAttribute('lang', 'en');
  await expect(page.getByRole('button', { name: '中文' })).toHaveAttribute('lang', 'zh-CN');
});

test.describe('with a browser that prefers Chinese', () => {
  test.use({ locale: 'zh-CN', mockOptions: { models: ['deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B', 'b'] } });
  test('the page speaks Chinese', async ({ page }) => {
    await expect(page).toHaveTitle('💬 DeepSeek-R1-Distill-Qwen-1.5B 推理服务');
    await expect(page.getByRole('link', { name: '并排对比' })).toBeVisible();
  });
});

test.describe('with a server that wants a key', () => {
  test.use({ mockOptions: { key: 'secret' } });
  test('the page asks for it, and keeps it for the tab only', async ({ page, context, mock }) => {
    await page.getByRole('textbox', { name: 'API key' }).fill('wrong');
    await page.getByRole('button', { name: 'Use' }).click();
    await expect(page.getByText('This server wants an API key.')).toBeVisible();
    await page.getByRole('textbox', { name: 'API key' }).fill('secret');
    await page.getByRole('button', { name: 'Use' }).click();
    await expect(page.getByText('This server wants an API key.')).toBeHidden();
    await ask(page, 'hello');
    await page.reload();
    await ask(page, 'still there');
    const other = await context.newPage();
    await other.goto(mock.url);
    await expect(other.getByText('This server wants an API key.')).toBeVisible();
  });
});

test('a reader who has scrolled up is left in peace', async ({ page }) => {
  await send(page, 'long');
  await expect(answers(page)).toContainText('Paragraph 12.');
  const scroller = page.locator('.messages');
  await scroller.hover();
  await page.mouse.wheel(0, -400);
  await page.waitForTimeout(200);
  const before = await scroller.evaluate((element) => element.scrollTop);
  await page.waitForTimeout(600);
  expect(await scroller.evaluate((element) => element.scrollTop)).toBe(before);
});

test('the page works where it was not served over TLS nor from this machine', async ({ context, mock, page }) => {
  await page.close();
  const plain = await context.newPage();
  // What such a page lacks.
  await plain.addInitScript(() => {
    Object.defineProperty(Crypto.prototype, 'randomUUID', { value: undefined });
    Object.defineProperty(Navigator.prototype, 'clipboard', { value: undefined });
  });
  await plain.goto(mock.url);
  await ask(plain, 'tour');
  await plain.locator('.copy-code').click();
  await expect(plain.locator('.copy-code')).toHaveText('Copied');
});

test('a double click on Send sends once and stops nothing', async ({ page, mock }) => {
  await composer(page).fill('count');
  await page.getByRole('button', { name: 'Send' }).dblclick();
  await expect(answers(page)).toContainText('10 11');
  expect(mock.requests).toHaveLength(1);
  expect(mock.aborted).toBe(0);
  await page.getByRole('button', { name: 'Stop' }).click();
  await expect(answers(page)).toContainText('Stopped.');
});

test('where the browser refuses the clipboard, text is copied by selecting it, or it is said that it is not', async ({ page }) => {
  await ask(page, 'tour');
  await page.evaluate(() => {
    navigator.clipboard.writeText = () => Promise.reject(new DOMException('Write permission denied.', 'NotAllowedError'));
  });
  const code = page.locator('.copy-code');
  await code.click();
  await expect(code).toHaveText('Copied');
  await expect(code).toBeFocused();
  await page.evaluate(() => (document.execCommand = () => false));
  await answers(page).getByRole('button', { name: 'Copy' }).last().click();
  await expect(answers(page).getByRole('button', { name: 'The browser does not allow it' })).toBeVisible();
});

test('the end of an answer that grows by more than a line at a time stays in sight', async ({ page }) => {
  await ask(page, 'count');
  await ask(page, 'tour');
  await send(page, 'long');
  await expect(answers(page).last()).toContainText('Paragraph 120.');
  await expect.poll(() => page.locator('.messages').evaluate((e) => e.scrollHeight - e.scrollTop - e.clientHeight)).toBeLessThan(2);
});

test('a reader who has scrolled up by a line is left in peace, and is followed again at the end', async ({ page }) => {
  await ask(page, 'long');
  await send(page, 'count');
  await expect(answers(page).last()).toContainText('10 11');
  const scroller = page.locator('.messages');
  const rest = () => scroller.evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight);
  await scroller.hover();
  await page.mouse.wheel(0, -30);
  await expect.poll(rest).toBeGreaterThan(20);
  const before = await scroller.evaluate((element) => element.scrollTop);
  await expect(answers(page).last()).toContainText('90 91');
  expect(await scroller.evaluate((element) => element.scrollTop)).toBe(before);
  await page.mouse.wheel(0, 1_000);
  await expect(answers(page).last()).toContainText('149 150');
  await expect.poll(rest).toBeLessThan(2);
});

test('the keys of an input method neither send nor stop', async ({ page, mock }) => {
  const press = (key: string, how: { isComposing?: boolean; keyCode?: number }) =>
    composer(page).evaluate((field, [key, how]) => field.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, ...how })), [key, how] as const);
  await composer(page).fill('ni');
  await press('Enter', { isComposing: true });
  // As Safari ends a composition.
  await press('Enter', { keyCode: 229 });
  expect(mock.requests).toHaveLength(0);
  await send(page, 'count');
  await composer(page).fill('hao');
  await press('Escape', { isComposing: true });
  await expect(answers(page)).toContainText('30 31');
  await composer(page).press('Escape');
  await expect(answers(page)).toContainText('Stopped.');
});

test('on paper a conversation is whole and has no buttons', async ({ page }) => {
  await ask(page, 'long');
  await page.emulateMedia({ media: 'print' });
  const cut = await page.evaluate(() =>
    [...document.querySelectorAll('html, body, #app, .app, .chat, .thread, .messages')].filter(
      (element) => element.scrollHeight > element.getBoundingClientRect().height + 1,
    ).length,
  );
  expect(cut).toBe(0);
  await expect(page.locator('button:visible, textarea:visible, select:visible')).toHaveCount(0);
});
