/** What the mock server's model says: the last user message names one of these, or is echoed. */

const TOUR = `Here is a **short tour**.

1. A list with \`inline code\` and a [link](https://example.com/docs).
2. Mathematics: $e^{i\\pi} + 1 = 0$, and displayed

$$\\int_0^\\infty e^{-x^2}\\,dx = \\frac{\\sqrt{\\pi}}{2}$$

| measure | A | B |
| :-- | --: | :-: |
| accuracy | 72 % | 54 % |
| tok/s | 183.3 | 39.7 |

\`\`\`python
def fib(n: int) -> int:
    """The n-th Fibonacci number."""
    a, b = 0, 1
    for _ in range(n):
        a, b = b, a + b
    return a
\`\`\`

> Costs $5 today and $6 tomorrow; that is no formula.

也支持中文：\\(a^2 + b^2 = c^2\\)。`;

/** Everything that may be wider than a window. */
const WIDE = `# A heading with averyveryveryverylongwordthathasnoplacetobreakandgoesonandonandon

${`| ${Array.from({ length: 14 }, (_, i) => `column ${i + 1}`).join(' | ')} |`}
${`| ${Array.from({ length: 14 }, () => '--:').join(' | ')} |`}
${Array.from({ length: 4 }, (_, row) => `| ${Array.from({ length: 14 }, (_, i) => (row + 1) * 1000 + i).join(' | ')} |`).join('\n')}

Inline $a_1 + a_2 + a_3 + a_4 + a_5 + a_6 + a_7 + a_8 + a_9 + a_{10} + a_{11} + a_{12} + \\cdots + a_{98} + a_{99} = \\frac{n(a_1 + a_n)}{2}$ ends.

$$\\sum_{i=1}^{n} x_i = x_1 + x_2 + x_3 + x_4 + x_5 + x_6 + x_7 + x_8 + x_9 + x_{10} + x_{11} + x_{12} + x_{13} + x_{14} + x_{15} + x_{16} + x_{17} + x_{18}$$

$$f(x) = \\left(\\frac{\\overbrace{aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}^{n}}{b}\\right) \\tag{17}$$

\`\`\`js
const line = ['a line of code', 'that is much longer', 'than any window is wide', 'and scrolls within its own box', 'to its very end'].join(', ');
\`\`\`

- one
  - two with \`inline_code_that_has_no_place_to_break_and_is_longer_than_a_telephone_is_wide()\`
    - three

https://example.com/${'a-very-long-path/'.repeat(9)}

---

### Small heading

> A quote
>
> with two paragraphs.
`;

const HOSTILE = `<script>window.hacked = 1</script>
<img src=x onerror="window.hacked = 2">
<svg onload="window.hacked = 3"></svg><iframe srcdoc="<script>parent.hacked = 4</script>"></iframe>
<style>body { display: none }</style><div style="position:fixed;inset:0">cover</div>

[click](javascript:window.hacked=5) [also](JaVaScRiPt:alert(1)) [data](data:text/html,<script>alert(1)</script>) [vb](vbscript:x)
![picture](https://tracker.example/pixel.png) ![js](javascript:alert(1))
<a href="javascript:window.hacked=6">raw</a> <form action="https://evil.example"><input name=a></form>

$\\href{javascript:window.hacked=7}{x}$ $\\htmlStyle{color:red}{y}$ $\\includegraphics{https://tracker.example/a.png}$ $\\undefined{z$ $\\color{red}x$
$$\\def\\a{\\a\\a}\\a$$
$$\\rule{100000em}{100000em}$$

[ref]: javascript:alert(8)
[ref]

\`\`\`"><script>window.hacked=9</script>
<b>code</b> \u202Ereversed\u202C
\`\`\`

end of hostile text`;

const REPLIES = {
  tour: TOUR,
  wide: WIDE,
  hostile: HOSTILE,
  'long line': 'x'.repeat(1_000_000),
  'long words': 'word *and* [more '.repeat(60_000),
  'long code': '```\n' + 'y'.repeat(1_000_000) + '\n```',
  'open fence': 'Look:\n\n```python\nprint("never closed")\n\n# **not bold**\n',
  'deep quote': '>'.repeat(1_500) + ' deep\n\n' + '- '.repeat(400) + 'item',
  'deep formula': `$$${'x^{'.repeat(350)}x${'}'.repeat(350)}$$`,
  rtl: 'مرحبا بالعالم، هذا نص عربي.\n\nשלום עולם 123\n\nEnglish \u202Eoverride\u202C after.\n',
  count: Array.from({ length: 150 }, (_, i) => i + 1).join(' '),
  long: Array.from({ length: 120 }, (_, i) => `Paragraph ${i + 1}. `.repeat(12)).join('\n\n'),
  'answer seven': 'The answer is **7**.',
};

/** Prompts that behave: how, is up to server.mjs. */
export function chooseReply(prompt) {
  return REPLIES[prompt.trim()] ?? `You said: ${prompt}`;
}

/** Pieces as a model streams them. */
export function splitTokens(text) {
  if (text.length > 20_000) return text.match(/[\s\S]{1,8192}/g) ?? [];
  return text.match(/\s?[^\s]{1,6}|\s/g) ?? [];
}
