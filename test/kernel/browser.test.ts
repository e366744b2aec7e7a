/** A person's path: Jupyter's classic notebook in a real browser, run all, look at the figures. */

import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium } from '../../kernel/src/image/chromium.js';
import { missingBrowser, outputPath } from '../browser.js';
import { createJupyterHome, type JupyterHome, type JupyterServer, missingProgram, serve } from './jupyter.js';
import { copyQuick } from './notebooks.js';

/** What is opened, and how many figures it shows. */
const notebook = '02-gpu-utilisation.ipynb';
const leastFigures = 4;

/** Asking at every frame has Chromium draw without end. */
const unhurried = { polling: 200 };

const missing = missingBrowser ?? missingProgram('jupyter-notebook', 'jupyter-notebook');

describe.skipIf(missing !== null)(
  `in the classic notebook${missing ? `: ${missing}` : ''}`,
  { timeout: 600_000 },
  () => {
    let home: JupyterHome;
    let server: JupyterServer;

    beforeAll(async () => {
      home = await createJupyterHome('quick');
      await copyQuick(notebook, join(home.folder, 'work', notebook));
      server = await serve('jupyter-notebook', home, [
        ...['--port-retries=0', '--NotebookApp.token=', '--NotebookApp.password='],
        `--notebook-dir=${home.folder}`,
      ]);
    }, 300_000);
    afterAll(async () => {
      await server.stop();
      await home.remove();
    });

    it('runs all cells and draws the figures', async () => {
      const browser = await launchChromium();
      try {
        const page = await browser.newPage({ viewport: { width: 1200, height: 1400 } });
        page.setDefaultTimeout(300_000);
        const exceptions: string[] = [];
        page.on('pageerror', ({ message }) => exceptions.push(message));
        await page.goto(`${server.url}/notebooks/work/${notebook}`);
        await page.waitForFunction('window.Jupyter?.notebook?.kernel?.is_connected()');
        await runAll(page);
        await page.waitForFunction(
          `document.querySelectorAll('.js-plotly-plot .main-svg').length >= ${2 * leastFigures}`,
          null,
          unhurried,
        );
        await page.screenshot({ path: await outputPath('classic-notebook.png'), fullPage: true });
        expect(await page.locator('.output_error, .output_stderr').count()).toBe(0);
        expect(await page.locator('.input_prompt').allInnerTexts()).not.toContain('In [*]:');
        expect(exceptions).toEqual([]);
      } finally {
        await browser.close();
      }
    });
  },
);

/** Kernel > Restart & Run All starts the same; the last cell's number says that all have run. */
async function runAll(page: Page): Promise<void> {
  await page.evaluate('Jupyter.notebook.execute_all_cells()');
  await page.waitForFunction(
    `Jupyter.notebook.get_cells()
    .filter((cell) => cell.cell_type === 'code' && cell.get_text().trim() !== '')
    .every((cell) => typeof cell.input_prompt_number === 'number') && !Jupyter.notebook.kernel_busy`,
    null,
    unhurried,
  );
}
