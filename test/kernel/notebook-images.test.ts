/** Executed notebooks for readers who run nothing. */

import { addImages, createDisplay, parseNotebook } from '@specoffload/kernel';
import { describe, expect, it } from 'vitest';
import { missingBrowser } from '../browser.js';

describe.skipIf(missingBrowser !== null)(
  `addImages${missingBrowser === null ? '' : `: ${missingBrowser}`}`,
  () => {
    it('puts an image in the place of every script, and leaves the rest as it is', async () => {
      const outputs: unknown[] = [];
      const display = createDisplay((data) =>
        outputs.push({ output_type: 'display_data', data, metadata: {} }),
      );
      display.setupFigures();
      display.showFigure({ data: [{ type: 'bar', y: [1, 2] }], layout: { title: { text: 'two bars' } } });
      display.showHtml('<b>bold</b>');
      const cell = {
        ...{ cell_type: 'code', id: 'a', metadata: {}, source: 'draw()' },
        ...{ execution_count: 1, outputs },
      };
      const notebook = parseNotebook(
        JSON.stringify({ nbformat: 4, nbformat_minor: 5, metadata: {}, cells: [cell] }),
        'test',
      );
      const images = await addImages(notebook);
      expect(images.map(({ title }) => title)).toEqual(['two bars']);
      const [drawn] = notebook.cells;
      const shown = drawn?.cell_type === 'code' ? drawn.outputs : [];
      const types = shown.map((output) => ('data' in output ? Object.keys(output.data).sort() : []));
      expect(types).toEqual([
        ['application/vnd.plotly.v1+json', 'image/png', 'text/plain'],
        ['text/html', 'text/plain'],
      ]);
    });
  },
);
