/** Opens page files in a real Chromium that reaches nothing, and reports whatever went wrong in them. */

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Page } from 'playwright-core';
import { projectDirectory } from '../experiments/src/paths.js';
import { launchChromium } from '../kernel/src/image/chromium.js';
import { findChromium } from '../kernel/src/image/find.js';

/** Why browser tests cannot run here; null when they can, and in CI, where a missing browser must fail them. */
export const missingBrowser =
  (await findChromium()) === null && !process.env.CI
    ? 'no Chromium or Chrome on PATH; apt-get install chromium brings one'
    : null;

export interface OpenPage {
  readonly page: Page;
  /** Console errors, uncaught exceptions, and requests for anything but the file itself. */
  readonly complaints: readonly string[];
}

export interface PageOpener {
  /** Opens a page file by file://. */
  open(path: string): Promise<OpenPage>;
  close(): Promise<void>;
}

/** A browser without a network. */
export async function openBrowser(): Promise<PageOpener> {
  const browser = await launchChromium();
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, offline: true });
  return {
    async open(path) {
      const page = await context.newPage();
      const url = pathToFileURL(path).href;
      const complaints = listenForComplaints(page, url);
      await page.goto(url);
      await page.bringToFront();
      return { page, complaints };
    },
    close: () => browser.close(),
  };
}

function listenForComplaints(page: Page, url: string): readonly string[] {
  const complaints: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => complaints.push(`exception: ${error.message}`));
  page.on('request', (request) => {
    const isLocal = request.url().split('#')[0] === url || /^(data|blob):/.test(request.url());
    if (!isLocal) complaints.push(`request: ${request.url()}`);
  });
  return complaints;
}

/** Where screenshots are kept; ignored by git. */
export async function outputPath(name: string): Promise<string> {
  const folder = join(projectDirectory, 'test', 'output');
  await mkdir(folder, { recursive: true });
  return join(folder, name);
}
