import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDisplay } from '../../kernel/src/display/index.js';
import { missingBrowser, type OpenPage, openBrowser, outputPath, type PageOpener } from '../browser.js';

let folder: string;
let browser: PageOpener | undefined;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-display-'));
  if (missingBrowser === null) browser = await openBrowser();
});
afterAll(async () => {
  await browser?.close();
  await rm(folder, { recursive: true, force: true });
});

/** The outputs of a notebook's cells, one after another as nbconvert writes them. */
function showFigures(...types: readonly string[]): string[] {
  const outputs: string[] = [];
  const display = createDisplay((bundle) => outputs.push(String(bundle['text/html'])));
  for (const type of types)
    display.showFigure({
      data: [{ type, x: [1, 2, 3], y: [1, 3, 2] }],
      layout: { title: { text: `</script>${type}` } },
    });
  return outputs;
}

async function openPage(name: string, body: string): Promise<OpenPage> {
  const path = join(folder, name);
  await writeFile(path, `<!doctype html><meta charset="utf-8"><title>${name}</title>\n${body}`);
  return browser!.open(path);
}

/** Every figure has two layers of SVG. Looks by the clock: a page in the background gets no animation frames. */
async function waitUntilDrawn(page: OpenPage['page'], numFigures: number): Promise<void> {
  const layers = () => page.locator('.js-plotly-plot .main-svg').count();
  await expect.poll(layers, { timeout: 100_000, interval: 200 }).toBeGreaterThanOrEqual(2 * numFigures);
}

describe.skipIf(missingBrowser !== null)(
  `figures in a page${missingBrowser ? `: ${missingBrowser}` : ''}`,
  () => {
    it('draws three and holds plotly.js once', async () => {
      const body = showFigures('scatter', 'bar', 'scattergl').join('\n');
      expect(body.match(/DecompressionStream/g)).toHaveLength(1);
      const { page, complaints } = await openPage('three.html', body);
      await waitUntilDrawn(page, 3);
      expect(await page.locator('.js-plotly-plot').count()).toBe(3);
      expect(await page.locator('.barlayer path').count()).toBe(3);
      expect(complaints).toEqual([]);
      await page.screenshot({ path: await outputPath('three-figures.png'), fullPage: true });
    });

    it('draws where RequireJS or a bundler has left its traps', async () => {
      const traps = `<script>
      window.define = Object.assign(() => { throw Error('taken'); }, { amd: {} });
      window.module = { exports: {} };
    </script>`;
      const { page, complaints } = await openPage('traps.html', traps + showFigures('scatter').join('\n'));
      await waitUntilDrawn(page, 1);
      expect(complaints).toEqual([]);
    });

    it('waits when the cell with the library was cleared, says so, and draws once a later cell brings it', async () => {
      const [first, ...later] = showFigures('scatter', 'bar', 'scatter');
      const library = first!.slice(0, first!.indexOf('<div class="specoffload-figure"'));
      const { page, complaints } = await openPage('cleared.html', later.join('\n'));
      await page.getByText('run setupFigures()').first().waitFor();
      expect(await page.locator('.js-plotly-plot').count()).toBe(0);
      await page.evaluate(
        `document.body.append(document.createRange().createContextualFragment(${JSON.stringify(library)}))`,
      );
      await waitUntilDrawn(page, 2);
      expect(await page.getByText('run setupFigures()').count()).toBe(0);
      expect(complaints).toEqual([]);
    });
  },
);
