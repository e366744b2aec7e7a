/** Executed notebooks for readers who run nothing: every figure an image, beside the data that Jupyter draws from. */

import { isRecord } from '@specoffload/input';
import { describeFigure, type Figure, isPlotlyScript } from '../display/plotly.js';
import type { JsonObject } from '../json.js';
import type { CellOutput, MimeBundle, Notebook } from '../notebook/format.js';
import { type ImageRenderer, openImageRenderer } from './render.js';

const plotlyType = 'application/vnd.plotly.v1+json';

export interface NotebookImage {
  /** The figure's title. */
  readonly title: string;
  /** A PNG file. */
  readonly png: Uint8Array;
}

/** Pages of notebooks are about as wide; three pixels for two keep small text sharp and files small. */
const size = { width: 960, scale: 1.5 };

/**
 * Gives every figure of an executed notebook an image in place of the script that would draw it, and takes
 * plotly.js itself out: some megabytes less. Mutates `notebook`; running it again brings the scripts back.
 * @returns the images, in the notebook's order.
 * @throws Error when there is no browser to draw with.
 */
export async function addImages(
  notebook: Notebook,
  onImage: (image: NotebookImage) => void = () => {},
): Promise<NotebookImage[]> {
  const images: NotebookImage[] = [];
  const renderer = await openImageRenderer();
  try {
    for (const cell of notebook.cells) {
      if (cell.cell_type !== 'code') continue;
      cell.outputs = cell.outputs.filter((output) => !isLibrary(output));
      for (const output of cell.outputs) {
        const figure = 'data' in output ? maybeFigure(output.data) : null;
        if (figure === null) continue;
        const image = await drawInto(output as { data: MimeBundle }, figure, renderer);
        images.push(image);
        onImage(image);
      }
    }
    return images;
  } finally {
    await renderer.close();
  }
}

function isLibrary(output: CellOutput): boolean {
  return 'data' in output && isPlotlyScript(output.data['text/html']);
}

function maybeFigure(data: MimeBundle): Figure | null {
  const figure = data[plotlyType];
  return isRecord(figure) && Array.isArray(figure.data) && isRecord(figure.layout)
    ? { data: figure.data, layout: figure.layout }
    : null;
}

async function drawInto(
  output: { data: MimeBundle },
  figure: Figure,
  renderer: ImageRenderer,
): Promise<NotebookImage> {
  const png = await renderer.render(figure, size);
  const { 'text/html': _script, ...data } = output.data;
  output.data = { ...data, 'image/png': Buffer.from(png).toString('base64') } satisfies JsonObject;
  return { title: describeFigure(figure), png };
}
