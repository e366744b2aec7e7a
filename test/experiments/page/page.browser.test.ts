import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createSubject, renderPage } from '../../../experiments/src/page/index.js';
import { printPage } from '../../../kernel/src/image/pdf.js';
import { missingBrowser, type OpenPage, openBrowser, outputPath, type PageOpener } from '../../browser.js';
import { hostile, storeExperiment } from './experiment.js';

let results: string;
let browser: PageOpener | undefined;
let open: OpenPage;
beforeAll(async () => {
  if (missingBrowser !== null) return;
  results = await mkdtemp(join(tmpdir(), 'specoffload-page-'));
  const stored = await storeExperiment(results);
  const asked = { name: 'test', question: `Which? ${hostile}`, baseline: { system: 'FlexGen' } };
  const { html } = await renderPage(createSubject(stored, asked));
  const path = join(results, 'report.html');
  await writeFile(path, html);
  browser = await openBrowser();
  open = await browser.open(path);
});
afterAll(async () => {
  await browser?.close();
  if (results) await rm(results, { recursive: true, force: true });
});

describe.skipIf(missingBrowser !== null)(
  `the report in a browser${missingBrowser ? `: ${missingBrowser}` : ''}`,
  () => {
    it('opens from a file, draws every chart, asks for nothing and complains of nothing', async () => {
      const { page, complaints } = open;
      const charts = page.locator('.chart');
      const count = await charts.count();
      expect(count).toBe(9);
      for (let i = 0; i < count; i += 1) {
        await charts.nth(i).scrollIntoViewIfNeeded();
        await page.locator('.chart[data-drawn]').nth(i).waitFor();
        const drawn = await charts.nth(i).locator('.main-svg path').count();
        expect(drawn, `paths in chart ${i}`).toBeGreaterThan(3);
      }
      expect(complaints).toEqual([]);
      await page.screenshot({ path: await outputPath('report.png'), fullPage: true });
    });

    it('shows what records say as text', async () => {
      expect(await open.page.locator('.question').textContent()).toBe(`Which? ${hostile}`);
      expect(await open.page.locator('img').count()).toBe(0);
    });

    it('changes the timeline by its list, and zooms by its buttons', async () => {
      const { page, complaints } = open;
      const timeline = page.locator('section', { has: page.getByText('lanes over time') });
      const chosen = await timeline.locator('option').nth(3).textContent();
      await timeline.locator('select').selectOption({ index: 3 });
      await timeline.locator('.gtitle', { hasText: chosen! }).waitFor();
      const firstTick = () => timeline.locator('.xtick text').first().textContent();
      const before = await firstTick();
      await timeline.locator('.updatemenu-button').last().click();
      await expect.poll(firstTick).not.toBe(before);
      expect(complaints).toEqual([]);
    });

    it('keeps rows that have all the words of the filter', async () => {
      const { page } = open;
      const shown = page.locator('.filter ~ .scroll tbody tr:visible');
      const all = await shown.count();
      await page.locator('.filter input').fill('flexgen prose');
      expect(await shown.count()).toBe(3);
      expect(await page.locator('[role=status]').textContent()).toBe(`3 of ${all}`);
      await page.locator('.filter input').fill('');
      expect(await shown.count()).toBe(all);
    });

    it('fits 700 pixels: nothing beside the page, legends and titles apart, tables scroll', async () => {
      const { page } = open;
      await page.setViewportSize({ width: 700, height: 900 });
      const count = await page.locator('.chart').count();
      for (let i = 0; i < count; i += 1) {
        const chart = page.locator('.chart').nth(i);
        await chart.scrollIntoViewIfNeeded();
        await expect.poll(async () => Number(await chart.getAttribute('data-width'))).toBeLessThan(700);
        const title = await chart.locator('.gtitle').boundingBox();
        const legend = chart.locator('.legend');
        if (title === null || (await legend.count()) === 0) continue;
        const box = (await legend.first().boundingBox())!;
        const isApart = box.y >= title.y + title.height || box.y + box.height <= title.y;
        expect(isApart, `title and legend of chart ${i}`).toBe(true);
      }
      const sizes = await page.evaluate(
        '[document.documentElement.scrollWidth - window.innerWidth, getComputedStyle(document.querySelector(".scroll")).overflowX]',
      );
      expect(sizes).toEqual([0, 'auto']);
      await page.screenshot({ path: await outputPath('report-700.png'), fullPage: true });
      await page.setViewportSize({ width: 1280, height: 900 });
    });

    it('prints charts no wider than a page of A4', async () => {
      const { page } = open;
      // All have been drawn anew for the wide page.
      const drawnWidths =
        '[...document.querySelectorAll(".chart")].map((chart) => Number(chart.dataset.width))';
      await expect
        .poll(async () => Math.min(...((await page.evaluate(drawnWidths)) as number[])))
        .toBeGreaterThan(700);
      // Plotly answers a change of the window a tenth of a second late: here it does so before the page is printed.
      await page.evaluate(
        'Promise.all([...document.querySelectorAll(".canvas")].map((canvas) => Plotly.Plots.resize(canvas)))',
      );
      await page.emulateMedia({ media: 'print' });
      const widths = (await page.evaluate(
        '[...document.querySelectorAll(".canvas .main-svg")].map((svg) => svg.getBoundingClientRect().width)',
      )) as number[];
      await page.emulateMedia({ media: 'screen' });
      expect(widths.length).toBeGreaterThan(0);
      // 210 mm less two margins of 12 mm, at 96 pixels per inch.
      for (const width of widths) expect(width).toBeLessThanOrEqual(703);
    });

    it('is printed into a PDF when all is drawn', async () => {
      const path = join(results, 'report.html');
      const pdf = Buffer.from(await printPage(path, { unfinished: '.chart:not([data-drawn])' }));
      expect(pdf.subarray(0, 5).toString()).toBe('%PDF-');
      // Charts are lines and letters: more than the tables alone.
      expect(pdf.length).toBeGreaterThan(50_000);
    });

    it('sorts the table by a click, and back by another', async () => {
      const { page } = open;
      const head = page.locator('.filter ~ .scroll th', { hasText: 'throughput' });
      const column = await page
        .locator('.filter ~ .scroll th')
        .evaluateAll((cells) =>
          cells.findIndex((cell) =>
            (cell as { textContent: string | null }).textContent?.includes('throughput'),
          ),
        );
      const values = async () =>
        (await page.locator(`.filter ~ .scroll tbody td:nth-child(${column + 1})`).allTextContents()).map(
          Number,
        );
      await head.locator('button').click();
      const falling = await values();
      expect(falling).toEqual([...falling].sort((a, b) => b - a));
      await head.locator('button').click();
      expect(await values()).toEqual([...falling].reverse());
      expect(await head.getAttribute('aria-sort')).toBe('ascending');
    });
  },
);
