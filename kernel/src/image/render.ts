/** Figures as PNG images, drawn by plotly.js itself in a headless browser. */

import { createRequire } from 'node:module';
import type { Figure } from '../display/plotly.js';
import { launchChromium } from './chromium.js';

export interface ImageSize {
  /** CSS pixels. @default the layout's, else 900 */
  readonly width?: number;
  /** @default the layout's, else 480 */
  readonly height?: number;
  /** Pixels of the image per CSS pixel. @default 2 */
  readonly scale?: number;
}

export interface ImageRenderer {
  /** @returns a PNG file's bytes. */
  render(figure: Figure, size?: ImageSize): Promise<Uint8Array>;
  close(): Promise<void>;
}

declare global {
  /** plotly.js, in the page. */
  var Plotly: { toImage(figure: unknown, options: unknown): Promise<string> };
}

/** Opens a browser with plotly.js in it; close it when done. @throws Error when there is no browser. */
export async function openImageRenderer(): Promise<ImageRenderer> {
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    const path = createRequire(import.meta.url).resolve('plotly.js-dist-min/plotly.min.js');
    await page.addScriptTag({ path });
    return {
      async render({ data, layout }, { width = 900, height = 480, scale = 2 } = {}) {
        const options = {
          format: 'png',
          width: layout.width ?? width,
          height: layout.height ?? height,
          scale,
        };
        const url = await page.evaluate(([figure, asked]) => globalThis.Plotly.toImage(figure, asked), [
          { data, layout },
          options,
        ] as const);
        return Buffer.from(url.slice(url.indexOf(',') + 1), 'base64');
      },
      close: () => browser.close(),
    };
  } catch (error) {
    await browser.close();
    throw error;
  }
}
