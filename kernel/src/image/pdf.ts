/** A page file printed into a PDF by the browser of this machine. */

import { pathToFileURL } from 'node:url';
import { launchChromium } from './chromium.js';

export interface PrintOptions {
  /** CSS selector of what is still being drawn: printed when nothing matches any more. */
  readonly unfinished?: string;
  /** How long to wait for that. @default 120 */
  readonly mostSeconds?: number;
  readonly signal?: AbortSignal;
}

/** Nothing is fetched on the way. @throws Error when there is no browser, or the page is not finished in time. */
export async function printPage(path: string, options: PrintOptions = {}): Promise<Uint8Array> {
  const { unfinished, mostSeconds = 120, signal } = options;
  signal?.throwIfAborted();
  const browser = await launchChromium();
  const stop = () => void browser.close();
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, offline: true });
    const page = await context.newPage();
    await page.goto(pathToFileURL(path).href);
    if (unfinished !== undefined)
      await page
        .locator(unfinished)
        .first()
        .waitFor({ state: 'detached', timeout: 1000 * mostSeconds });
    return await page.pdf({ format: 'A4', printBackground: true, preferCSSPageSize: true });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', stop);
    await browser.close();
  }
}
