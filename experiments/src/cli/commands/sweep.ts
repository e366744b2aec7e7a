/** `specoffload sweep`: an experiment's points, as many times as it asks, on as many threads as there are. */

import { type ArithmeticName, arithmetics, UserError } from '@specoffload/engine';
import type { Command } from 'commander';
import { type Point, walkPoints } from '../../definitions/expand.js';
import { noPoint } from '../../definitions/parse.js';
import { deviceWords } from '../../inputs/devices.js';
import { parseSeconds } from '../../inputs/sizes.js';
import { defaultResultsDirectory, displayPath } from '../../paths.js';
import { axisColumns, describeOutcome } from '../../sweep/describe.js';
import { estimate } from '../../sweep/estimate.js';
import { shippedExperiments } from '../../sweep/experiments/index.js';
import { isInShare } from '../../sweep/locate.js';
import { openExperiment } from '../../sweep/open-experiment.js';
import { type SweepOptions, type SweepRequest, searches, settleRequest } from '../../sweep/options.js';
import { describeSweepProgress } from '../../sweep/progress.js';
import { Shelf } from '../../sweep/shelf.js';
import { asUsage, UsageError } from '../../terminal/errors.js';
import { formatSeconds, plural } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { formatTable } from '../../terminal/table.js';
import {
  type CommandContext,
  type CommonOptions,
  oneOf,
  outputFor,
  wholeNumber,
  withCommonOptions,
} from './common.js';
import { arithmeticHelp } from './device-option.js';
import { addDrafterOption, type DrafterOptions } from './draft-use.js';
import {
  addOtherMachinesOptions,
  maybeSubmit,
  type OtherMachinesOptions,
  openQueue,
} from './other-machines.js';

interface SweepCommandOptions extends CommonOptions, DrafterOptions, OtherMachinesOptions {
  readonly quick?: true;
  readonly dryRun?: true;
  readonly filter?: string;
  readonly device?: string;
  readonly arithmetic?: ArithmeticName;
  readonly repeats?: number;
  readonly seeds?: readonly number[];
  readonly search: (typeof searches)[number];
  readonly rounds?: number;
  readonly objective?: readonly string[];
  readonly maxTime?: number;
  readonly workers?: number;
  readonly traces?: true;
  readonly retry?: true;
  readonly results: string;
}

export function addSweepCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('sweep')
    .description(
      "run an experiment: all its points, or those that its last sweep did not come to; a point whose settings say planned (with draft, with any drafter, without draft) runs the planner's pick for its machine, model, budgets and prompts",
    )
    .argument(
      '<experiment>',
      `one of ${Object.keys(shippedExperiments).join(', ')}; or a definition in a .json file, or in a .js or .mjs module of your own`,
    )
    .option('--quick', 'its small form')
    .option('--dry-run', 'list the points and run none')
    .option('--filter <expression>', 'only points for which it holds, such as "candidates <= 4"')
    .option('--repeats <n>', 'measured runs of every point', wholeNumber('--repeats', 1, 1000))
    .option('--seeds <list>', 'seeds of what predictions draw, such as 1,2,3', parseSeeds)
    .option(
      '--search <how>',
      'full: every point as often as every other; halving: more runs for the better half, again and again; thompson: one run after the other, of the point that promises most; bayesian: point by point, where most is expected of it',
      oneOf('--search', searches),
      'full',
    )
    .option(
      '--rounds <n>',
      'runs of a search by thompson (default: twice the combinations), points of one by bayesian (default: a tenth of them)',
      wholeNumber('--rounds', 1, 100_000),
    )
    .option(
      '--objective <column>',
      "with bayesian, several times: what is weighed against each other (default: the experiment's metric)",
      (column: string, before: readonly string[] = []) => [...before, column],
    )
    .option(
      '--device <kind>',
      `what computes the device lane of measured points: ${deviceWords} (default: as the experiment says)`,
    )
    .option(
      '--arithmetic <which>',
      `${arithmeticHelp} (default: as the experiment says)`,
      oneOf('--arithmetic', arithmetics),
    )
    .option('--max-time <time>', 'start no run later than this, such as 10min', (text) =>
      parseSeconds('--max-time', text),
    )
    .option('--workers <n>', 'threads that predict (default: one per core)', wholeNumber('--workers', 1, 256))
    .option('--traces', 'keep the timelines of predictions')
    .option('--retry', 'try points again that were refused earlier')
    .option('--results <dir>', 'record store', displayPath(defaultResultsDirectory));
  addOtherMachinesOptions(command);
  addDrafterOption(command, 'as the experiment says');
  withCommonOptions(
    command,
    'specoffload sweep candidates --quick',
    'specoffload sweep candidates --search bayesian --rounds 9',
    'specoffload sweep my-experiment.json --filter "candidates <= 4" --max-time 10min',
    'specoffload sweep candidates --queue redis://127.0.0.1:6379',
    'specoffload sweep candidates --slurm --tasks 16 --sbatch "--partition=long"',
  ).action((experiment: string, options: SweepCommandOptions) =>
    sweep(experiment, options, outputFor(options), context),
  );
}

async function sweep(
  experiment: string,
  options: SweepCommandOptions,
  output: Output,
  { signal, args = [] }: CommandContext,
): Promise<void> {
  const definition = await openExperiment(experiment);
  const { dryRun, maxTime, device, arithmetic, drafter, objective, ...others } = options;
  const { json: _json, verbose: _verbose, ...rest } = others;
  const wanted: SweepOptions = {
    ...{
      ...rest,
      settings: { ...(device && { device }), ...(arithmetic && { arithmetic }), ...(drafter && { drafter }) },
    },
    ...(maxTime === undefined ? {} : { maxSeconds: maxTime }),
    ...(await openQueue(options)),
    ...(objective && { objectives: objective }),
  };
  // The definition is sound: what is refused now was asked for by a flag.
  const request = asUsage(() => settleRequest(definition, wanted));
  if (await maybeSubmit(options, request, { args, isDry: dryRun === true }, output)) return;
  if (dryRun) return listPoints({ ...request, output, signal });
  const { runExperiment } = await import('../../sweep/sweep.js');
  const follower = output.follow();
  const outcome = await runExperiment(definition, {
    ...{ ...wanted, signal },
    onNote: (sentence) => {
      follower.end();
      output.note(sentence);
    },
    onProgress: (progress) => follower.update(() => describeSweepProgress(definition.name, progress)),
  }).finally(() => follower.end());
  output.say(describeOutcome(outcome));
  output.document(outcome);
  if (outcome.agreement !== null && outcome.agreement.errors.length > 0)
    throw new UserError(
      'runs of the same texts wrote different tokens, which no strategy may; please report it with the records above',
    );
  if (outcome.failed.length > 0)
    throw new UserError(
      `${plural(outcome.failed.length, 'run')} of ${definition.name} failed, listed above; start the same sweep again to try them again`,
    );
}

/** A measured point would first have to be prepared: how long it takes is said when the sweep starts. */
async function listPoints(request: SweepRequest): Promise<void> {
  const { definition, turns, output, signal, share } = request;
  const points: Point[] = [];
  for await (const point of walkPoints(definition, signal)) if (isInShare(point, share)) points.push(point);
  if (points.length === 0) throw noPoint(definition);
  const planned = { points: points.length, runs: points.length * turns.length };
  const seconds =
    definition.kind === 'measured'
      ? null
      : (await estimate(request, new Shelf(output, signal), planned)).seconds;
  output.say(formatTable(axisColumns(points), points));
  output.say(
    `\n${plural(points.length, 'point')}, ${plural(turns.length, 'run')} each` +
      `${seconds === null ? '' : `, about ${formatSeconds(seconds)}`}; none was started`,
  );
  output.document({ points, runsPerPoint: turns.length, expectedSeconds: seconds });
}

function parseSeeds(text: string): readonly number[] {
  if (!/^\d+(,\d+)*$/.test(text))
    throw new UsageError(
      `invalid --seeds: ${text}; expected whole numbers separated by commas, such as 1,2,3`,
    );
  return text.split(',').map(Number);
}
