import { expect, test } from 'vitest';
import { clipText, renderBlocks } from '../../src/markdown.ts';

const html = (text: string) => renderBlocks(text).join('');
const formulas = (text: string) => [...html(text).matchAll(/class="math( display)?">([^<]*)</g)].map((match) => match[2]);

test('the four ways to write a formula are found', () => {
  expect(formulas('a $x$ b \\(y\\) c \\[z\\] d $$w$$')).toEqual(['x', 'y', 'z', 'w']);
  expect(formulas('$$\nx\n= y\n$$')).toEqual(['\nx\n= y\n']);
  expect(formulas('- item\n\n  \\[\n  x\n  \\]')).toEqual(['\n  x\n  ']);
});

test('prices, code and unclosed dollars are no formulas', () => {
  for (const text of ['It costs $5 and $6.', '`$x$`', '```\n$x$\n```', 'a $ b $ c', 'open $x', '$$\nopen', '\\$x\\$']) {
    expect([text, formulas(text)]).toEqual([text, []]);
  }
});

test('no HTML of a model survives, nor a link that is no address', () => {
  const text = '<b onclick=x>b</b> <script>1</script> [a](javascript:x) ![i](http://x/y.png)\n\n<div style="color:red">';
  expect(html(text)).not.toMatch(/<(b|script|div|img)[ >]/);
  expect(html(text)).not.toContain('href="javascript:');
  expect(html(text)).toContain('href="http://x/y.png"');
});

test('no style attribute is written, which the security policy would refuse', () => {
  expect(html('| a | b |\n| --: | :-: |\n| 1 | 2 |')).not.toContain('style=');
  expect(html('| a | b |\n| --: | :-: |\n| 1 | 2 |')).toContain('<td class="align-right">1</td>');
});

test('blocks before the end stay the same while a text grows', () => {
  const text = '# Title\n\nSome *text* here.\n\n- a\n- b\n\n```js\nlet x = 1;\n```\n\nend';
  const whole = renderBlocks(text);
  expect(whole).toHaveLength(5);
  expect(renderBlocks(text + ' of it\n\nmore').slice(0, 4)).toEqual(whole.slice(0, 4));
});

test('an unclosed fence reaches to the end', () => {
  expect(renderBlocks('a\n\n```py\nx = 1\n\n# b')).toHaveLength(2);
});

test('controls of direction are shown in code', () => {
  expect(html('```\na\u202Eb\n```')).toContain('a⟨U+202E⟩b');
});

test('nothing is lost where quotes and lists are nested too deep', () => {
  for (const text of ['>'.repeat(1_500) + ' deep', '- '.repeat(400) + 'deep', '> - '.repeat(50) + 'deep']) expect(html(text)).toContain('deep');
});

test('long texts are clipped, and hostile ones do not take quadratic time', () => {
  expect(clipText('x'.repeat(20_001))).toMatch(/x… \(\+1\)$/);
  expect(html('x'.repeat(1_000_000)).length).toBeLessThan(21_000);
  // Quadratic time would take minutes, and the runner gives up long before.
  for (const piece of ['[', '*_', '![](', '`', '<', '$', '\\(', '> ', '- ', '| ', '&#', '[a](']) html(piece.repeat(200_000));
});
