/** The page in the binary, with the built-in pair: TOUCHSTONE names the binary. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { test as base } from '@playwright/test';
import { answers, ask, expect, send, watch } from './fixture.ts';

const binary = process.env['TOUCHSTONE'];

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function serve(port: number): Promise<ChildProcess> {
  const child = spawn(binary!, ['serve', 'demo:distilled', 'demo:native', '--port', String(port)], { stdio: 'ignore' });
  await expect.poll(() => fetch(`http://127.0.0.1:${port}/ready`).then(({ status }) => status, () => 0), { timeout: 30_000 }).toBe(200);
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGTERM');
  await ended;
}

const test = base.extend<{ server: { port: number; child: ChildProcess } }>({
  // eslint-disable-next-line no-empty-pattern
  server: async ({}, use) => {
    const port = await freePort();
    const server = { port, child: await serve(port) };
    await use(server);
    await end(server.child);
  },
  page: async ({ page, server }, use) => {
    const faults: string[] = [];
    await watch(page, faults);
    await page.goto(`http://127.0.0.1:${server.port}`);
    await use(page);
    expect(faults).toEqual([]);
  },
});

test.skip(!binary, 'TOUCHSTONE names no binary');

test('the built-in pair chats, with its tokens', async ({ page }) => {
  await expect(page).toHaveTitle('💬 demo:distilled inference service');
  await page.getByRole('button', { name: 'Parameters' }).click();
  await expect(page.getByRole('textbox', { name: 'temperature' })).toHaveAttribute('placeholder', /^\d/);
  await page.getByRole('checkbox', { name: /Record token probabilities/ }).check();
  await ask(page, 'Kim has 38 apples, then finds 9, then loses 6. How many apples does Kim have now?');
  await expect(answers(page).locator('.thinking summary')).toContainText('Thought for');
  await expect(answers(page).locator('.stats')).toContainText(/Context \d+ \/ /);
  await expect(answers(page).locator('.markdown')).not.toHaveCount(0);
  await page.getByRole('button', { name: 'Tokens' }).click();
  await expect(page.locator('.token-detail')).toContainText('probability');
});

test('the server names its answers and knows how their thinking is ended', async ({ request, server }) => {
  const url = `http://127.0.0.1:${server.port}/v1/chat/completions`;
  const answer = await request.post(url, { data: { model: 'demo:distilled', messages: [{ role: 'user', content: 'hello' }], stream: true, max_tokens: 4 } });
  const id = JSON.parse((await answer.text()).split('\n')[0]!.replace('data: ', '')).id;
  expect(id).toMatch(/^chatcmpl-/);
  // It has ended: no such answer is under way, which is another thing than no such path.
  const ended = await request.post(`${url}/${id}/answer_now`);
  expect(ended.status()).toBe(404);
  expect((await ended.json()).error.message).toContain('under way');
});

test('both models answer side by side', async ({ page }) => {
  await page.getByRole('link', { name: 'Side by side' }).click();
  await send(page, 'Jo has 12 apples, then doubles them. How many apples does Jo have now?');
  await page.getByRole('button', { name: 'Tie' }).click();
  await expect(page.getByText('Vote counted.')).toBeVisible();
});

test('after a restart the conversation goes on', async ({ page, server }) => {
  const question = 'Gus has 3 pens, then finds 4. How many pens does Gus have now?';
  await ask(page, question);
  await end(server.child);
  await send(page, question);
  await expect(answers(page).last()).toContainText('The connection to the server broke.');
  server.child = await serve(server.port);
  await expect(page.locator('.notice')).toBeHidden();
  await page.getByRole('button', { name: 'Retry' }).click();
  // How fast is not said where all of it comes at once.
  await expect(answers(page).last().locator('.stats')).toContainText(/\d tokens.*Context \d/);
});
