/** A page on a mock server; whatever breaks the content security policy, or throws, fails the test. */
import AxeBuilder from '@axe-core/playwright';
import { test as base, expect, type Page } from '@playwright/test';
import { startMock } from '../mock/server.mjs';

export type Mock = Awaited<ReturnType<typeof startMock>>;

export async function watch(page: Page, faults: string[]): Promise<void> {
  page.on('pageerror', (error) => faults.push(`error: ${error.message}`));
  page.on('console', (message) => {
    if (/Content.Security.Policy/i.test(message.text())) faults.push(`policy: ${message.text()}`);
  });
  page.on('request', (request) => {
    const url = new URL(request.url());
    if (/^(https?|wss?):$/.test(url.protocol) && url.hostname !== '127.0.0.1') faults.push(`third party: ${request.url()}`);
  });
  await page.exposeFunction('reportViolation', (directive: string) => faults.push(`policy: ${directive}`));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => {
      (window as unknown as { reportViolation: (directive: string) => void }).reportViolation(
        `${event.violatedDirective} ${event.blockedURI} ${event.sample}`,
      );
    });
  });
}

interface Fixtures {
  mockOptions: Parameters<typeof startMock>[0];
  mock: Mock;
  faults: string[];
}

export const test = base.extend<Fixtures>({
  mockOptions: [{}, { option: true }],
  mock: async ({ mockOptions }, use) => {
    const mock = await startMock(mockOptions);
    await use(mock);
    await mock.close();
  },
  // eslint-disable-next-line no-empty-pattern
  faults: async ({}, use) => {
    const faults: string[] = [];
    await use(faults);
    expect(faults).toEqual([]);
  },
  page: async ({ page, mock, faults }, use) => {
    await watch(page, faults);
    await page.goto(mock.url);
    await use(page);
  },
});

export { expect };

export function composer(page: Page) {
  return page.getByRole('textbox', { name: /^(Message|Prompt for both models)$/ });
}

export async function send(page: Page, text: string): Promise<void> {
  await composer(page).fill(text);
  await composer(page).press('Enter');
}

export function answers(page: Page) {
  return page.locator('.message.assistant');
}

/** Sends and waits for the whole answer. */
export async function ask(page: Page, text: string): Promise<void> {
  await send(page, text);
  await expect(page.getByRole('button', { name: 'Stop' })).toBeHidden();
  await expect(answers(page).last().locator('.stats')).toContainText('tok');
}

export async function expectAccessible(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`)).toEqual([]);
}

export async function expectNoSideScroll(page: Page): Promise<void> {
  const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  expect(content).toBeLessThanOrEqual(window!);
  // What is cut off by a container that does not scroll is lost to the reader as well.
  const lost = await page.evaluate(() =>
    [...document.querySelectorAll('button, a, input, textarea, select, h1, h2')]
      .filter((element) => element.checkVisibility({ visibilityProperty: true }) && !element.closest('.scroll, pre, .offscreen') && !element.matches('.offscreen'))
      .filter((element) => {
        const box = element.getBoundingClientRect();
        return box.width > 0 && (box.right > innerWidth + 1 || box.left < -1);
      })
      .map((element) => element.outerHTML.slice(0, 100)),
  );
  expect(lost).toEqual([]);
}
