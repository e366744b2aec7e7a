/** `specoffload reproduce`: every published figure of the paper, predicted on simulated machines. */

import { join } from 'node:path';
import { UserError, writeWholeFile } from '@specoffload/input';
import type { Command } from 'commander';
import { alignFacts } from '../../job/describe-run.js';
import { defaultResultsDirectory, displayPath, isInstalled, publishedDirectory } from '../../paths.js';
import { readCalibration, writeCalibration } from '../../reproduce/calibration-file.js';
import { calibrate } from '../../reproduce/held-out.js';
import { createPredictionStore } from '../../reproduce/records.js';
import { readReference } from '../../reproduce/reference.js';
import { type Reproduction, reproduce } from '../../reproduce/reproduction.js';
import { toMarkdown, toSections, toText } from '../../reproduce/tables.js';
import { assertWritable } from '../../store/index.js';
import { formatSeconds } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';

interface ReproduceCommandOptions extends CommonOptions {
  readonly reference: string;
  readonly quick?: true;
  readonly fit?: true;
  readonly results: string;
}

export function addReproduceCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('reproduce')
    .description("predict the paper's published figures on simulated machines; write records and a report")
    .option('--reference <dir>', 'published figures, as in results/paper', displayPath(publishedDirectory))
    .option('--quick', 'shortened runs, no held-out tests, no records')
    .option('--fit', 'first fit the constants again (10 to 15 minutes); rewrites experiments/machines')
    .option('--results <dir>', 'record store', displayPath(defaultResultsDirectory));
  withCommonOptions(
    command,
    'specoffload reproduce --quick',
    'specoffload reproduce --json > figures.json',
  ).action((options: ReproduceCommandOptions) => run(options, outputFor(options), context.signal));
}

async function run(options: ReproduceCommandOptions, output: Output, signal: AbortSignal): Promise<void> {
  const { results, quick: isQuick = false } = options;
  const reference = await readReference(options.reference);
  if (!isQuick) await assertWritable(results, 'reproduce');
  const started = performance.now();
  const elapsed = () => formatSeconds((performance.now() - started) / 1000);
  const follower = output.follow();
  const onProgress = (text: string) => follower.update(() => `${text} (${elapsed()})`);
  let reproduction: Reproduction;
  try {
    let calibration = await readCalibration();
    if (options.fit) {
      assertOwnConstants();
      calibration = await calibrate({ reference, start: calibration, onProgress, signal });
      await writeCalibration(calibration);
      calibration = await readCalibration();
    }
    const onPrediction = isQuick ? async () => {} : await createPredictionStore(results, signal);
    reproduction = await reproduce({ reference, calibration, isQuick, onPrediction, onProgress, signal });
  } finally {
    follower.end();
  }
  const sections = toSections(reproduction);
  output.say(toText(sections));
  if (!isQuick) await writeReport(results, toMarkdown(sections), reproduction, output);
  output.note(`done in ${elapsed()}`);
  output.document(reproduction);
}

/** @throws UserError where they are everybody's who uses this installation */
function assertOwnConstants(): void {
  if (isInstalled)
    throw new UserError("--fit rewrites the lab's own constants; use it in a checkout of the repository");
}

async function writeReport(
  results: string,
  markdown: string,
  reproduction: Reproduction,
  output: Output,
): Promise<void> {
  const folder = join(results, 'reproduce');
  const remedy = 'choose another --results';
  await writeWholeFile(join(folder, 'report.md'), markdown, { remedy });
  await writeWholeFile(join(folder, 'report.json'), `${JSON.stringify(reproduction, null, 2)}\n`, { remedy });
  const facts = alignFacts([
    ['report', displayPath(join(folder, 'report.md'))],
    ['numbers', displayPath(join(folder, 'report.json'))],
    ['records', displayPath(folder)],
  ]);
  output.say(`\n${facts.join('\n')}`);
}
