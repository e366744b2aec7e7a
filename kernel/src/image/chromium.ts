/**
 * A browser of this machine, driven headless: it draws figures into files and opens pages in tests. Not for the package's
 * index: the types of a browser's driver are as long as those of Node, and every kernel would hold them.
 */

import type { Browser } from 'playwright-core';
import { findChromium } from './find.js';

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
