/** `specoffload notebook images`: an executed notebook for readers who run nothing. */

import { basename, join } from 'node:path';
import { UserError, writeWholeFile } from '@specoffload/input';
import type { Command } from 'commander';
import { displayPath } from '../../paths.js';
import { plural } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { type CommonOptions, outputFor, withCommonOptions } from './common.js';
import { withKernel } from './notebook-common.js';

interface NotebookImagesOptions extends CommonOptions {
  readonly out?: string;
  readonly png?: string;
}

export function addNotebookImagesCommand(notebook: Command): void {
  const command = notebook
    .command('images')
    .description(
      'draw the figures of an executed notebook into it, so that it can be read where no script runs (needs Chromium)',
    )
    .argument('<notebook>', 'an executed .ipynb file')
    .option('--out <file>', 'where the notebook goes (default: it is changed in place)')
    .option('--png <dir>', 'write the images as files too: NAME-1.png, NAME-2.png, …');
  withCommonOptions(
    command,
    'specoffload notebook images notebooks/01-overall-throughput.ipynb',
    'specoffload notebook images notebooks/06-timeline.ipynb --png figures',
  ).action((path: string, options: NotebookImagesOptions) => drawImages(path, options, outputFor(options)));
}

async function drawImages(path: string, options: NotebookImagesOptions, output: Output): Promise<void> {
  const { out = path, png } = options;
  const follower = output.follow();
  const imageFile = (index: number) => join(png!, `${basename(path, '.ipynb')}-${index + 1}.png`);
  const images = await withKernel(
    async ({ addImages, assertWritable, findChromium, readNotebook, saveNotebook }) => {
      const notebook = await readNotebook(path);
      for (const file of [out, ...(png === undefined ? [] : [imageFile(0)])]) await assertWritable(file);
      if ((await findChromium()) === null)
        throw new UserError(
          'there is no Chromium or Chrome on PATH; install one (Debian: apt-get install chromium)',
        );
      const drawn = await addImages(notebook, ({ title }) => follower.update(() => `drew ${title}`));
      await saveNotebook(out, notebook);
      return drawn;
    },
  ).finally(() => follower.end());
  const files: string[] = [];
  if (png !== undefined) {
    for (const [index, image] of images.entries()) {
      const file = imageFile(index);
      await writeWholeFile(file, image.png, { remedy: 'choose another --png' });
      files.push(file);
    }
  }
  output.say(`${plural(images.length, 'figure')} drawn into ${displayPath(out)}`);
  for (const [index, file] of files.entries()) output.say(`${displayPath(file)}: ${images[index].title}`);
  output.document({
    out,
    figures: images.map(({ title }, index) => ({ title, file: files[index] ?? null })),
  });
}
