/** Executed notebooks for readers who run nothing. */

import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { addImages, createDisplay, parseNotebook } from '@specoffload/kernel';
import { describe, expect, it } from 'vitest';
import { projectDirectory } from '../../experiments/src/paths.js';
import { missingBrowser } from '../browser.js';
import { runCli } from '../experiments/cli.js';

it.each(['--out', '--png'])(
  '%s where nothing can be written is refused before a figure is drawn',
  async (flag) => {
    const path = join(projectDirectory, 'test', 'kernel', 'fixtures', 'front-end.ipynb');
    const result = await runCli([
      'notebook',
      'images',
      path,
      '--out',
      join(tmpdir(), 'unused.ipynb'),
      flag,
      '/proc/x',
    ]);
    expect(result.stderr).toMatch(/^specoffload: cannot write \/proc\/x[^\n]+\n$/);
    expect(result.exitCode).toBe(1);
  },
);

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
