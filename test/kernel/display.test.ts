import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import {
  createDisplay,
  escapeHtml,
  figureHtml,
  type MimeBundle,
  plotlyScript,
  type SendOptions,
  toLatex,
  toScriptJson,
} from '../../kernel/src/display/index.js';

interface Sent {
  readonly bundle: MimeBundle;
  readonly options: SendOptions | undefined;
}

function createRecorder(nowSeconds?: () => number) {
  const sent: Sent[] = [];
  const display = createDisplay((bundle, options) => sent.push({ bundle, options }), nowSeconds);
  const html = () => sent.map(({ bundle }) => String(bundle['text/html'] ?? ''));
  return { display, sent, html };
}

const hostile = '</script><script>alert("x")</script><!-- & \u2028\u2029 \'';
const figure = { data: [{ type: 'bar', y: [1, 2], name: hostile }], layout: { title: { text: 'two bars' } } };

describe('escaping', () => {
  it('shows markup in text and in attributes', () => {
    expect(escapeHtml(`<a href='x'>"&"</a>`)).toBe('&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;');
  });

  it('keeps JSON inside its script element and its value what it was', () => {
    const text = toScriptJson({ hostile, gap: Number.NaN });
    expect(text).not.toMatch(/[<\u2028\u2029]/);
    expect(JSON.parse(text)).toEqual({ hostile, gap: null });
    expect(runInNewContext(`(${text}).hostile`)).toBe(hostile);
  });
});

describe('showFigure', () => {
  it('sends the figure in three forms', () => {
    const { display, sent } = createRecorder();
    display.showFigure(figure);
    expect(sent).toHaveLength(1);
    const { bundle } = sent[0];
    expect(Object.keys(bundle)).toEqual(['application/vnd.plotly.v1+json', 'text/html', 'text/plain']);
    expect(bundle['application/vnd.plotly.v1+json']).toEqual(figure);
    expect(bundle['text/plain']).toBe('two bars');
  });

  it('brings plotly.js once, with the first figure', () => {
    const { display, html } = createRecorder();
    for (let i = 0; i < 3; i += 1) display.showFigure(figure);
    expect(html().map((text) => text.includes(plotlyScript()))).toEqual([true, false, false]);
    expect(html()[1].length).toBeLessThan(3000);
  });

  it('leaves it to the cell that calls setupFigures, every time that cell runs', () => {
    const { display, html } = createRecorder();
    display.setupFigures();
    display.showFigure(figure);
    display.setupFigures();
    expect(html().map((text) => text.includes(plotlyScript()))).toEqual([true, false, true]);
  });

  it('lets no text of a figure out of its script element', () => {
    const html = figureHtml({ data: figure.data, layout: { title: { text: hostile } } });
    expect(html.match(/<script/g)).toHaveLength(2);
    expect(html.match(/<\/script>/g)).toHaveLength(2);
    expect(html).not.toContain('alert("x")');
  });

  it.each([undefined, {}, { data: [] }, { data: {}, layout: {} }])('refuses %j', (value) => {
    const { display, sent } = createRecorder();
    expect(() => display.showFigure(value as never)).toThrow(
      'invalid figure: expected an object with a list `data` and an object `layout`',
    );
    expect(sent).toEqual([]);
  });
});

describe('showTable', () => {
  const rows = [
    { strategy: 'none', tokensPerSecond: 6.97321, passes: 32, bytes: 48_123_456_789 },
    { strategy: hostile, tokensPerSecond: 0.00001234, passes: null, bytes: 12 },
  ];

  it('rounds, aligns and escapes', () => {
    const { display, sent } = createRecorder();
    display.showTable(rows, { titles: { tokensPerSecond: 'tokens/s' }, caption: 'a < b' });
    const { bundle } = sent[0];
    const html = String(bundle['text/html']);
    expect(html).toContain('<td style="text-align:right">6.973</td>');
    expect(html).toContain('<td style="text-align:right">48,123,456,789</td>');
    expect(html).toContain('1.234e-5');
    expect(html).toContain('<td style="text-align:left">none</td>');
    expect(html).toContain('a &lt; b');
    expect(html).toContain('tokens/s');
    expect(html).not.toContain('<script');
  });

  it('takes columns in the order asked for and says how much it cut', () => {
    const { display, sent } = createRecorder();
    const many = Array.from({ length: 1200 }, (_, i) => ({ b: i, a: 2 * i }));
    display.showTable(many, { columns: ['a', 'b'], mostRows: 2 });
    expect(sent[0].bundle['text/plain']).toBe(
      ['a  b', '-  -', '0  0', '2  1', 'first 2 of 1,200 rows; mostRows shows more'].join('\n'),
    );
  });

  it('reads frames and series by their columns and values', () => {
    const { display, sent } = createRecorder();
    display.showTable({
      columns: ['name', 'x'],
      values: [
        ['a', 1],
        ['b', 2],
      ],
    });
    display.showTable({ columns: ['x'], values: [1, 2] });
    expect(sent.map(({ bundle }) => bundle['text/plain'])).toEqual([
      'name  x\n----  -\na     1\nb     2',
      'x\n-\n1\n2',
    ]);
  });

  it.each([null, 3, { columns: 3 }])('refuses %j', (value) => {
    expect(() => createRecorder().display.showTable(value as never)).toThrow(
      'invalid table: expected a list of row objects or a danfo DataFrame or Series',
    );
  });
});

describe('toLatex', () => {
  it.each([
    ['weightBytes / (25 GB/s)', '\\frac{ \\mathrm{weightBytes}}{\\frac{25~ \\mathrm{GB}}{ \\mathrm{s}}}'],
    ['p_1 + p2', 'p_{1}+ p_{2}'],
    ['alpha * s', '\\alpha\\cdot s'],
    ['$\\frac{1}{2}$', '\\frac{1}{2}'],
    ['\\sum_i x_i', '\\sum_i x_i'],
  ])('%s', (formula, latex) => {
    expect(toLatex(formula).replace(/\s+/g, ' ')).toBe(latex);
  });

  it('says what it could not read', () => {
    expect(() => toLatex('1 + (')).toThrow(/^invalid formula: 1 \+ \(; .*expected a mathjs expression/);
  });
});

describe('createProgress', () => {
  it('updates one output in place, not too often, and ends with what was done', () => {
    let now = 100;
    const { display, sent } = createRecorder(() => now);
    const progress = display.createProgress('sweep <1>');
    now = 101;
    progress.update({ done: 1, total: 4, note: 'flexgen' });
    now = 101.01;
    progress.update({ done: 2, total: 4 });
    now = 104;
    progress.end();
    progress.end('twice');
    progress.update({ done: 4, total: 4 });
    expect(sent.map(({ bundle }) => bundle['text/plain'])).toEqual([
      'sweep <1>: starting',
      'sweep <1>: 1 of 4, about 3.0 s left, flexgen',
      'sweep <1>: 2 of 4 done in 4.0 s',
    ]);
    expect(sent.map(({ options }) => options?.isUpdate)).toEqual([false, true, true]);
    expect(new Set(sent.map(({ options }) => options?.displayId)).size).toBe(1);
    expect(sent[1].bundle['text/html']).toContain('width:25.0%');
    expect(sent[2].bundle['text/html']).toBe('<p>sweep &lt;1&gt;: 2 of 4 done in 4.0 s</p>');
  });
});

it('shows HTML, Markdown and formulas under their types', () => {
  const { display, sent } = createRecorder();
  display.showHtml('<b>x</b>');
  display.showMarkdown('**x**');
  display.showFormula('x^2');
  expect(sent.map(({ bundle }) => bundle)).toEqual([
    { 'text/html': '<b>x</b>', 'text/plain': 'x' },
    { 'text/markdown': '**x**', 'text/plain': '**x**' },
    { 'text/latex': expect.stringMatching(/^\$\\displaystyle \{? ?x\}?\^\{ ?2\}\$$/), 'text/plain': 'x^2' },
  ]);
});
