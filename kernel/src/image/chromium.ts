/** A browser of this machine, driven headless: it draws figures into files and opens pages in tests. */

import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import type { Browser } from 'playwright-core';

const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** The path of Chromium or Chrome; null where there is none on PATH. */
export async function findChromium(path = process.env.PATH ?? ''): Promise<string | null> {
  for (const directory of path.split(delimiter).filter((part) => part !== ''))
    for (const name of names) {
      const candidate = join(directory, name);
      const isThere = await access(candidate, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (isThere) return candidate;
    }
  return null;
}

/** Nothing of the user's profile is touched and nothing is looked up on the network. */
const quiet = [
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

/** @throws Error when there is no browser, with the command that brings one. */
export async function launchChromium(): Promise<Browser> {
  const executablePath = await findChromium();
  if (executablePath === null)
    throw new Error(
      'there is no Chromium or Chrome on PATH; install one (Debian: apt-get install chromium) or leave images out',
    );
  const { chromium } = await import('playwright-core');
  // Chromium refuses its sandbox to root.
  const isRoot = process.getuid?.() === 0;
  return chromium.launch({ executablePath, args: isRoot ? [...quiet, '--no-sandbox'] : quiet });
}
