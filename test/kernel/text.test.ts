import { expect, it } from 'vitest';
import { renderText } from '../../kernel/src/html/text.js';

const esc = '\u001b[';
const red = '<span style="color:#e75c58">';

const texts: readonly (readonly [what: string, text: string, html: string])[] = [
  ['a colour', `${esc}31mred${esc}0m plain`, `${red}red</span> plain`],
  ['a colour that nothing ends', `${esc}31m<b>`, `${red}&lt;b&gt;</span>`],
  ['an empty code, which ends all', `${esc}31ma${esc}mb`, `${red}a</span>b`],
  [
    'two at once',
    `${esc}1;32mok${esc}39mstill${esc}22mnot`,
    '<span style="color:#00a250;font-weight:bold">ok</span><span style="font-weight:bold">still</span>not',
  ],
  ['one of 256', `${esc}38;5;196mx`, '<span style="color:rgb(255,0,0)">x</span>'],
  ['a colour of one\u2019s own', `${esc}48;2;1;2;300mx`, '<span style="background:rgb(1,2,255)">x</span>'],
  ['a code that is none', `${esc}999mx`, 'x'],
  ['what moves the cursor', `${esc}2K${esc}1Ax\u0007`, 'x'],
  ['a line written over by a shorter one', 'abcdef\rXY', 'XYcdef'],
  ['a line written over in colour', `1 %\r${esc}31m2 %${esc}0m\n`, `${red}2 %</span>\n`],
  ['line ends of Windows', 'a\r\nb\r\n', 'a\nb\n'],
  ['characters taken back', '|\b/\b-\n', '-\n'],
  ['a link of a terminal', '\u001b]8;;javascript:alert(1)\u0007x\u001b]8;;\u0007', 'x'],
];
it.each(texts)('%s', (_what, text, html) => {
  expect(renderText(text)).toBe(html);
});

it('is cut where nobody reads it', () => {
  expect(renderText('x'.repeat(2_000_001))).toMatch(/x\n\[cut: the first 2000000 of 2000001 characters\]$/);
});
