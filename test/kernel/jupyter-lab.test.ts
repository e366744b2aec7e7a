/** JupyterLab in a real browser: a figure that updates, a page that is loaded again, an interrupt, a dark theme. */

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { launchChromium } from '../../kernel/src/image/chromium.js';
import { missingBrowser, outputPath } from '../browser.js';
import { createJupyterHome, isOnPath, type JupyterHome, type JupyterServer, serve } from './jupyter.js';
import { createNotebookText } from './notebooks.js';

const missing =
  missingBrowser ??
  (isOnPath('jupyter-lab') ? null : 'no jupyter-lab on the PATH; pip install jupyterlab brings it');

const cells = [
  `import { createFigure, createProgress, setupFigures } from '@specoffload/kernel';
setupFigures();
const draw = (title: string) => ({ data: [{ x: [1, 2], y: [3, 4] }], layout: { title: { text: title } } });
const figure = createFigure(draw('first'));`,
  "figure.update(draw('second'));",
  `const progress = createProgress('long');
console.log('begun');
for (let done = 1; ; done++) {
  progress.update({ done, total: 9999 });
  await new Promise((resolve) => setTimeout(resolve, 100));
}`,
  "'ali' + 've'",
];
const longCell = 2;

/** Lab's own objects, as its pages show them with the flag below. */
const panel = 'window.jupyterapp.shell.currentWidget';
const kernel = `${panel}?.sessionContext?.session?.kernel`;

describe.skipIf(missing !== null)(
  `in JupyterLab${missing ? `: ${missing}` : ''}`,
  { timeout: 300_000 },
  () => {
    let home: JupyterHome;
    let server: JupyterServer;
    beforeAll(async () => {
      home = await createJupyterHome('quick');
      await mkdir(join(home.folder, 'work'));
      const kernelspec = {
        name: 'specoffload',
        display_name: 'SpecOffload Lab (TypeScript)',
        language: 'typescript',
      };
      await writeFile(join(home.folder, 'work', 'long.ipynb'), createNotebookText(cells, { kernelspec }));
      server = await serve('jupyter-lab', home, [
        ...['--expose-app-in-browser', '--ServerApp.port_retries=0', '--IdentityProvider.token='],
        ...['--ServerApp.password=', `--ServerApp.root_dir=${home.folder}`],
      ]);
    }, 300_000);
    afterAll(async () => {
      await server.stop();
      await home.remove();
    });

    it('draws, goes on after a reload, is interrupted, and is readable in the dark', async () => {
      const browser = await launchChromium();
      try {
        const page = await browser.newPage({ viewport: { width: 1200, height: 1400 } });
        page.setDefaultTimeout(120_000);
        const exceptions: string[] = [];
        page.on('pageerror', ({ message }) => exceptions.push(message));
        await page.goto(`${server.url}/lab/tree/work/long.ipynb`);
        await page.waitForFunction(`window.jupyterapp && ${kernel}?.status === 'idle'`);

        await run(page, 0);
        await page.waitForFunction(`${title}?.textContent === 'first'`);
        await run(page, 1);
        await page.waitForFunction(`${title}?.textContent === 'second'`);
        await page.evaluate(
          "window.jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })",
        );
        await page.waitForFunction("document.body.dataset.jpThemeLight === 'false'");
        expect(await page.evaluate(titleContrast)).toBeGreaterThan(4.5);
        await page.screenshot({ path: await outputPath('jupyter-lab-dark.png') });

        await run(page, longCell);
        const before = await progressOf(page, 3);
        await page.evaluate("window.jupyterapp.commands.execute('docmanager:save')");
        await page.reload();
        await page.waitForFunction(`window.jupyterapp && ${kernel}?.status === 'busy'`);
        expect(await progressOf(page, before + 5)).toBeGreaterThan(before);
        expect(await outputOf(page, longCell)).toContain('begun');
        await page.screenshot({ path: await outputPath('jupyter-lab-again.png') });

        await page.evaluate("window.jupyterapp.commands.execute('notebook:interrupt-kernel')");
        await page.waitForFunction(`${kernel}?.status === 'idle'`);
        expect(await outputOf(page, longCell)).toContain('nterrupted');
        await run(page, 3);
        await page.waitForFunction(
          "document.querySelectorAll('.jp-CodeCell')[3].innerText.includes('alive')",
        );
        expect(exceptions).toEqual([]);
      } finally {
        await browser.close();
      }
    });
  },
);

const title = "document.querySelector('.js-plotly-plot .gtitle')";

/** Of a figure's title with what it stands on, as the guidelines for accessibility count it. */
const titleContrast = `(() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255);
  const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const luminance = (colour) =>
    channels(colour).map(linear).reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0);
  const ink = luminance(getComputedStyle(${title}).fill);
  const paper = luminance(getComputedStyle(document.querySelector('.js-plotly-plot .main-svg')).backgroundColor);
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
})()`;

async function run(page: Page, index: number): Promise<void> {
  await page.evaluate(`{
    const notebook = ${panel}.content;
    notebook.activeCellIndex = ${index};
    void window.jupyterapp.commands.execute('notebook:run-cell');
  }`);
}

/** How far the long cell has come, once that is as far as this. */
async function progressOf(page: Page, least: number): Promise<number> {
  const done = `Number(/long: (\\d+) of/.exec(document.querySelectorAll('.jp-CodeCell')[${longCell}]?.innerText)?.[1] ?? 0)`;
  await page.waitForFunction(`${done} >= ${least}`);
  return page.evaluate(done);
}

function outputOf(page: Page, index: number): Promise<string> {
  return page.locator('.jp-CodeCell').nth(index).locator('.jp-OutputArea').innerText();
}
