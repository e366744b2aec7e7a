/** `specoffload start`: the main job. */

import { UserError } from '@specoffload/engine';
import type { Command } from 'commander';
import { quoteSample } from '../../job/describe-run.js';
import { describePlan } from '../../job/execute.js';
import {
  firstTexts,
  type MainJob,
  type MainJobOutcome,
  openMainJob,
  runMainJob,
} from '../../job/main-job.js';
import { describeTokenCheck, explain, formatComparison, runName } from '../../job/summary.js';
import { defaultResultsDirectory, displayPath } from '../../paths.js';
import { assertWritable } from '../../store/index.js';
import { threeDigits } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { sketchTimeline } from '../timeline.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';
import { addDeviceOption, type DeviceOptions } from './device-option.js';

interface StartCommandOptions extends CommonOptions, DeviceOptions {
  readonly quick?: true;
  readonly results: string;
}

export function addStartCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('start')
    .description(
      'the main job: none, serial and specoffload on a 2 GB target that does not fit its memory budget, and the fastest of them with its weights packed',
    )
    .option('--quick', 'a smaller target, fewer prompts and tokens')
    .option('--results <dir>', 'record store', displayPath(defaultResultsDirectory));
  addDeviceOption(command);
  withCommonOptions(command, 'specoffload start --quick').action((options: StartCommandOptions) =>
    start(options, outputFor(options), context.signal),
  );
}

async function start(
  { quick, results, device, arithmetic }: StartCommandOptions,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  await assertWritable(results, 'main');
  const job = await openMainJob({ quick: quick === true, results, device, arithmetic }, output, signal);
  output.note(`main job: ${describePlan(job)}`);
  const outcome = await runMainJob(job, output, {
    ...{ signal, packs: true },
    onRun: ({ record, result }) =>
      output.note(`${runName(record)}: ${threeDigits(result.tokensPerSecond)} tokens/s`),
  });
  conclude(outcome, job, output);
}

/** Says what came out. @throws UserError when a strategy changed the output. */
function conclude({ runs, checks }: MainJobOutcome, job: MainJob, output: Output): void {
  const records = runs.map(({ record }) => record);
  output.say(`\n${formatComparison(records)}`);
  output.say('device, host, link, disk: share of decode during which the lane was busy');
  output.say(
    `\n${[...describeTokenCheck(checks, records[0].result.newTokens), ...explain(records)].join('\n')}`,
  );
  output.say('\ntwo decode passes of each, darker where the lane is busier');
  for (const { record, result } of runs) {
    const sketch = sketchTimeline(result, runName(record));
    if (sketch !== null) output.say(sketch);
  }
  if (job.tokenizer !== null) {
    const samples = firstTexts(runs[0], job, job.tokenizer).map(
      ({ workload, prompt, continuation }) => `${workload}\n${quoteSample(prompt, continuation, 4)}`,
    );
    output.say(`\n${samples.join('\n')}`);
  }
  output.say('\nrecords and timelines (open trace.json.gz in ui.perfetto.dev)');
  for (const { folder } of runs) output.say(`  ${displayPath(folder)}`);
  output.document({ runs: runs.map(({ folder, record }) => ({ folder, record })), checks });
  const failed = checks.filter(({ comparison }) => comparison.numErrors > 0);
  if (failed.length > 0)
    throw new UserError(
      `${failed.map(({ strategy }) => strategy).join(' and ')} changed the output, which speculation never may; ` +
        'please report it with the records above',
    );
}
