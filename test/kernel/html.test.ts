import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDisplay } from '../../kernel/src/display/index.js';
import { exportHtml, renderNotebook } from '../../kernel/src/html/export.js';
import { highlight } from '../../kernel/src/html/highlight.js';
import { renderMarkdown } from '../../kernel/src/html/markdown.js';
import type { CellOutput, Notebook } from '../../kernel/src/notebook/format.js';
import { missingBrowser, openBrowser } from '../browser.js';

const withOutputs = (...outputs: CellOutput[]): Notebook => ({
  metadata: {},
  cells: [{ cell_type: 'code', id: 'a', metadata: {}, source: 'run()', execution_count: 3, outputs }],
});
const show = (data: Record<string, unknown>): CellOutput => ({
  output_type: 'display_data',
  metadata: {},
  data,
});
const render = (notebook: Notebook) => renderNotebook(notebook, 'a <title>');

describe('an exported page', () => {
  const outputs: readonly (readonly [what: string, output: CellOutput, html: string])[] = [
    [
      'text',
      { output_type: 'stream', name: 'stdout', text: '<b>&' },
      '<pre class="stdout">&lt;b&gt;&amp;</pre>',
    ],
    [
      'colours',
      { output_type: 'stream', name: 'stderr', text: '\u001b[31mred\u001b[0m' },
      '<pre class="stderr"><span style="color:#e75c58">red</span></pre>',
    ],
    [
      'a line written over',
      { output_type: 'stream', name: 'stdout', text: '100 %\r99 %\r\nend\r\n' },
      '<pre class="stdout">99 %%\nend\n</pre>',
    ],
    [
      'an error',
      { output_type: 'error', ename: 'E', evalue: 'v<', traceback: [] },
      '<pre class="error">E: v&lt;</pre>',
    ],
    [
      'the richest form',
      show({ 'text/plain': 'no', 'text/html': '<table></table>' }),
      '<div class="output"><table></table></div>',
    ],
    [
      'an image',
      show({ 'image/png': 'aGk=\n', 'text/plain': 'no' }),
      '<img alt="" src="data:image/png;base64,aGk=">',
    ],
    ['an image that is none', show({ 'image/png': '"><script>' }), 'base64,&quot;&gt;&lt;script&gt;">'],
    [
      'a formula',
      show({ 'text/latex': '$\\displaystyle \\frac{a}{b}$' }),
      '<mfrac><mi>a</mi><mi>b</mi></mfrac>',
    ],
    ['Markdown', show({ 'text/markdown': '*a*' }), '<p><em>a</em></p>'],
    [
      'what nobody knows',
      show({ 'application/x+json': { a: '<' } }),
      'application/x+json: {\n &quot;a&quot;: &quot;&lt;&quot;\n}',
    ],
    [
      'HTML that no browser could bear: how much it was',
      show({ 'text/html': '<p>'.repeat(4_000_000) }),
      'left out: HTML of 12000000 characters; a page shows at most 10000000',
    ],
    ['nothing', show({}), '<pre>nothing: null</pre>'],
  ];
  it.each(outputs)('shows %s', (_what, output, html) => {
    expect(render(withOutputs(output))).toContain(html);
  });

  const formulas: readonly (readonly [text: string, html: string])[] = [
    ['With $a_i*b*c_i$.', '<annotation encoding="application/x-tex">a_i*b*c_i</annotation>'],
    ['$$x_1*y*z_1$$', 'display="block"><semantics><mrow><msub><mi>x</mi><mn>1</mn></msub>'],
    ['With \\(x^2\\).', '<msup><mi>x</mi><mn>2</mn></msup>'],
    ['With \\\\(x^2\\\\), as Jupyter wants it.', '<msup><mi>x</mi><mn>2</mn></msup>'],
    ['\\[ E = m \\]', 'display="block"><semantics><mrow><mi>E</mi>'],
    ['\\begin{align} a &= b \\\\ c &= d \\end{align}', '<mtable'],
    ['| a |\n|---|\n| $q^2$ |', '<td><span class="katex"><math'],
    ['it costs $5 or $6, `$x_y_z$`.', '<p>it costs $5 or $6, <code>$x_y_z$</code>.</p>'],
    ['`$$a$$`', '<p><code>$$a$$</code></p>'],
    ['```\n$$a$$\n```', '<pre><code>$$a$$\n</code></pre>'],
    ['a \\$5 and \\$6', '<p>a $5 and $6</p>'],
    ['$\\frac{a$ and on', '<code class="formula" title="KaTeX parse error'],
    ['$\\href{javascript:alert(1)}{a}$', '<mtext>\\href</mtext>'],
    ['$\\def\\a{\\a\\a}\\a$', '<code class="formula" title="KaTeX parse error: Too many expansions'],
  ];
  it.each(formulas)('reads formulas where there are any: %s', (text, html) => {
    expect(renderMarkdown(text)).toContain(html);
  });

  it('shows attachments of a text', () => {
    const attachments = { 'a b.png': { 'image/png': 'aGk=\n' } };
    expect(renderMarkdown('![one](attachment:a%20b.png)', attachments)).toContain(
      '<img src="data:image/png;base64,aGk=" alt="one">',
    );
    expect(renderMarkdown('![one](attachment:none.png)', attachments)).toContain('[one]');
  });

  const heavy: readonly (readonly [what: string, text: string])[] = [
    ['quotations', '> '.repeat(2000)],
    [
      'quotations by line',
      Array.from({ length: 2000 }, (_, index) => `${'>'.repeat(index + 1)} a`).join('\n'),
    ],
    ['lists', Array.from({ length: 2000 }, (_, index) => `${' '.repeat(2 * index)}- a`).join('\n')],
    ['brackets', `${'!['.repeat(5000)}a${'](x)'.repeat(5000)}`],
    ['emphasis', '*a **b '.repeat(20_000)],
    ['length', 'a'.repeat(600_000)],
  ];
  it.each(heavy)('shows a text as it is written rather than to read it for ever: %s', (_what, text) => {
    const startMs = performance.now();
    const html = renderMarkdown(text);
    expect(performance.now() - startMs).toBeLessThan(20_000);
    expect(html.length).toBeGreaterThan(1000);
  });

  it('escapes its title, and the text of raw cells', () => {
    const html = render({
      metadata: {},
      cells: [{ cell_type: 'raw', id: 'a', metadata: {}, source: '<i>' }],
    });
    expect(html).toContain('<title>a &lt;title&gt;</title>');
    expect(html).toContain('<pre>&lt;i&gt;</pre>');
  });

  const sources: readonly (readonly [source: string, html: string])[] = [
    ['const a = 1', '<span class="keyword">const</span> a = <span class="number">1</span>'],
    ['"// no" // yes', '<span class="string">&quot;// no&quot;</span> <span class="comment">// yes</span>'],
    ['`a\nb` < b', '<span class="string">`a\nb`</span> &lt; b'],
    ['constant.for', 'constant.<span class="keyword">for</span>'],
    ["'open", '&#39;open'],
    ['/* open', '<span class="comment">/* open</span>'],
  ];
  it.each(sources)('colours %s', (source, html) => {
    expect(highlight(source)).toBe(html);
  });

  it.each([
    ['a long text', `"${'a'.repeat(150_000)}"`],
    ['escapes', `"${'\\\\'.repeat(75_000)}"`],
    ['quotation marks that nothing closes', '"\\'.repeat(90_000)],
    ['8 MB', `"${'a'.repeat(8_000_000)}"`],
  ])('colours a source in time that grows with its length: %s', (_what, source) => {
    const startMs = performance.now();
    expect(highlight(source).length).toBeGreaterThanOrEqual(source.length);
    expect(performance.now() - startMs).toBeLessThan(5000);
  });

  it('lets no script run but its own, and nothing come from elsewhere', () => {
    const policyOf = (html: string) =>
      /http-equiv="Content-Security-Policy" content="([^"]*)"/.exec(html)![1]!;
    const none = policyOf(render(withOutputs(show({ 'text/html': '<script>1</script>' }))));
    expect(none).toContain("default-src 'none'; script-src 'none'");
    const figure = (type: string) =>
      show({ 'application/vnd.plotly.v1+json': { data: [{ type }], layout: {} } });
    const html = render(withOutputs(figure('bar')));
    const scripts = [...html.matchAll(/<script>([\s\S]*?)<\/script>/g)].map(([, text]) => text!);
    expect(scripts.length).toBeGreaterThan(1);
    for (const script of scripts)
      expect(policyOf(html)).toContain(createHash('sha256').update(script).digest('base64'));
    expect(policyOf(html)).not.toMatch(/script-src[^;]*unsafe|https?:/);
    expect(policyOf(render(withOutputs(figure('scattergl'))))).toContain("'unsafe-eval'");
  });

  it('holds plotly.js once, however many figures there are, and not without any', () => {
    const figures: CellOutput[] = [];
    const display = createDisplay((bundle) => figures.push(show({ ...bundle })));
    display.setupFigures();
    for (let index = 0; index < 3; index++) display.showFigure({ data: [{ y: [1, 3, 2] }], layout: {} });
    const html = render(withOutputs(...figures));
    expect(html.match(/DecompressionStream/g)).toHaveLength(1);
    expect(html.match(/class="specoffload-figure"/g)).toHaveLength(3);
    expect(render(withOutputs(show({ 'text/plain': 'x' })))).not.toContain('DecompressionStream');
  });
});

describe.skipIf(missingBrowser !== null)(
  `an exported page in a browser${missingBrowser ? `: ${missingBrowser}` : ''}`,
  () => {
    let folder: string;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), 'specoffload-html-'));
    });
    afterAll(() => rm(folder, { recursive: true, force: true }));

    it('draws its figures without a network', async () => {
      const outputs: CellOutput[] = [];
      const display = createDisplay((bundle) => outputs.push(show({ ...bundle })));
      for (const type of ['scatter', 'bar', 'scattergl'])
        display.showFigure({ data: [{ type, y: [1, 3, 2] }], layout: {} });
      const path = join(folder, 'page.html');
      await exportHtml(withOutputs(...outputs), 'page', path);
      const browser = await openBrowser();
      try {
        const { page, complaints } = await browser.open(path);
        await page.waitForFunction(
          "document.querySelectorAll('.js-plotly-plot .main-svg').length >= 6",
          null,
          {
            timeout: 100_000,
          },
        );
        expect(complaints).toEqual([]);
        expect(await page.locator('.no-webgl').count()).toBe(0);
      } finally {
        await browser.close();
      }
    });
  },
);
