import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDisplay } from '../../kernel/src/display/index.js';
import { exportHtml, renderNotebook } from '../../kernel/src/html/export.js';
import { highlight } from '../../kernel/src/html/highlight.js';
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
      '<pre class="stderr">red</pre>',
    ],
    [
      'a line written over',
      { output_type: 'stream', name: 'stdout', text: '1 %\r99 %\r\nend\r\n' },
      '<pre class="stdout">99 %\nend\n</pre>',
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
      '<pre class="formula">\\frac{a}{b}</pre>',
    ],
    ['Markdown', show({ 'text/markdown': '*a*' }), '<p><em>a</em></p>'],
    [
      'what nobody knows',
      show({ 'application/x+json': { a: '<' } }),
      'application/x+json: {\n &quot;a&quot;: &quot;&lt;&quot;\n}',
    ],
    ['nothing', show({}), '<pre>nothing: null</pre>'],
  ];
  it.each(outputs)('shows %s', (_what, output, html) => {
    expect(render(withOutputs(output))).toContain(html);
  });

  it('keeps formulas in texts as they are, and prices', () => {
    const text = 'With $a_i*b*c_i$ and\n\n$$x_1*y*z_1$$\n\nit costs $5 or $6, `$x_y_z$`.';
    const html = render({
      metadata: {},
      cells: [{ cell_type: 'markdown', id: 'a', metadata: {}, source: text }],
    });
    expect(html).toContain('<code class="formula">a_i*b*c_i</code>');
    expect(html).toContain('<pre class="formula">x_1*y*z_1</pre>');
    expect(html).toContain('it costs $5 or $6, <code>$x_y_z$</code>');
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
      for (const type of ['scatter', 'bar'])
        display.showFigure({ data: [{ type, y: [1, 3, 2] }], layout: {} });
      const path = join(folder, 'page.html');
      await exportHtml(withOutputs(...outputs), 'page', path);
      const browser = await openBrowser();
      try {
        const { page, complaints } = await browser.open(path);
        await page.waitForFunction(
          "document.querySelectorAll('.js-plotly-plot .main-svg').length >= 4",
          null,
          {
            timeout: 100_000,
          },
        );
        expect(complaints).toEqual([]);
      } finally {
        await browser.close();
      }
    });
  },
);
