/** Opens a page file in a real Chromium that reaches nothing, and reports whatever went wrong in it. */

import { accessSync, constants } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { chromium, type Page } from 'playwright-core';
import { projectDirectory } from '../experiments/src/paths.js';

const names = ['chromium', 'chromium-browser', 'google-chrome'];

/** null when there is none on the PATH. */
export function findChromium(): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Why browser tests cannot run here; null when they can, and in CI, where a missing browser must fail them. */
export const missingBrowser =
  findChromium() === null && !process.env.CI
    ? `no ${names.join(', ')} on the PATH; apt-get install chromium brings one`
    : null;

export interface OpenPage {
  readonly page: Page;
  /** Console errors, uncaught exceptions, and requests for anything but the file itself. */
  readonly complaints: readonly string[];
}

export interface Browser {
  /** Opens a page file by file://. */
  open(path: string): Promise<OpenPage>;
  close(): Promise<void>;
}

/** A browser with a profile of its own and no network. */
export async function openBrowser(): Promise<Browser> {
  const executablePath = findChromium();
  if (executablePath === null) throw new Error(`no ${names.join(', ')} on the PATH`);
  const profile = await mkdtemp(join(tmpdir(), 'specoffload-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath,
    args: [
      ...['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking'],
      ...['--disable-component-update', '--disable-sync'],
    ],
    viewport: { width: 1280, height: 900 },
    offline: true,
  });
  return {
    async open(path) {
      const page = await context.newPage();
      const complaints = listenForComplaints(page, pathToFileURL(path).href);
      await page.goto(pathToFileURL(path).href);
      return { page, complaints };
    },
    async close() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
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
