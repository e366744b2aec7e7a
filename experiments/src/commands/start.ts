/** `specoffload start`: the main job. */

import { defaultReadsInFlight, type Tokenizer, UserError } from '@specoffload/engine';
import type { Command } from 'commander';
import { compareSequences } from '../compare.js';
import { describePlan, type ExecutedRun, executeRun, type RunPlan } from '../execute.js';
import { threeDigits } from '../format.js';
import { prepareTarget } from '../main-job/inflated-target.js';
import { describeTokenCheck, explain, formatComparison, type TokenCheck } from '../main-job/summary.js';
import type { Output } from '../output.js';
import { type OpenPair, openPair } from '../pair.js';
import { cacheDirectory, defaultResultsDirectory, displayPath, pairPaths } from '../paths.js';
import { loadWorkload, type Vocabulary, type Workload, workloadNames } from '../prompts.js';
import { quoteSample } from '../report.js';
import { assertWritable } from '../store/index.js';
import { sketchTimeline } from '../timeline.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';

interface StartCommandOptions extends CommonOptions {
  readonly quick?: true;
  readonly results: string;
}

/** What makes the job big or small. */
interface JobSize {
  readonly targetBytes: number;
  readonly promptsPerWorkload: number;
  readonly maxNewTokens: number;
}

// Few enough sequences that verifying their candidates takes less time than reading the weights: the regime that
// offloading is about.
const fullSize: JobSize = { targetBytes: 2e9, promptsPerWorkload: 2, maxNewTokens: 32 };
const quickSize: JobSize = { targetBytes: 4e8, promptsPerWorkload: 1, maxNewTokens: 16 };

/** What the main job compares: no speculation, serial speculation, SpecOffload's. */
const mainStrategies = ['none', 'serial', 'specoffload'] as const;

/** Device and host together hold half of the target: whatever is kept, the rest streams from disk in every pass. */
const deviceShare = 1 / 4;
const hostShare = 1 / 4;

export function addStartCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('start')
    .description(
      'the main job: none, serial and specoffload on a 2 GB target that does not fit its memory budget',
    )
    .option('--quick', 'a smaller target, fewer prompts and tokens')
    .option('--results <dir>', 'record store', displayPath(defaultResultsDirectory));
  withCommonOptions(command, 'specoffload start --quick').action((options: StartCommandOptions) =>
    start(options, outputFor(options), context.signal),
  );
}

async function start(options: StartCommandOptions, output: Output, signal: AbortSignal): Promise<void> {
  const size = options.quick ? quickSize : fullSize;
  await assertWritable(options.results);
  const request = { sourceDirectory: pairPaths.target, cacheDirectory, bytes: size.targetBytes };
  const { directory } = await prepareTarget(request, output, signal);
  const pair = await openPair(directory, pairPaths.draft);
  const workload = await loadMixedWorkload(size.promptsPerWorkload, {
    size: pair.target.config.vocabSize,
    tokenizer: pair.tokenizer,
  });
  const plan = planJob(pair, workload, size.maxNewTokens, options.results);
  output.note(`main job: ${describePlan(plan)}`);
  const runs: ExecutedRun[] = [];
  for (const strategy of mainStrategies) {
    signal.throwIfAborted();
    const run = await executeRun({ ...plan, strategy }, output, signal);
    output.note(`${strategy}: ${threeDigits(run.result.tokensPerSecond)} tokens/s`);
    runs.push(run);
  }
  conclude(runs, workload, pair.tokenizer, output);
}

/** Everything but the strategy: the runs differ in nothing else. */
function planJob(
  pair: OpenPair,
  workload: Workload,
  maxNewTokens: number,
  resultsDirectory: string,
): Omit<RunPlan, 'strategy'> {
  return {
    ...pair,
    experiment: 'main',
    resultsDirectory,
    policy: {},
    machine: {
      deviceBytes: Math.floor(pair.target.bytes * deviceShare),
      hostBytes: Math.floor(pair.target.bytes * hostShare),
      deviceCores: 1,
      hostCores: 1,
      readsInFlight: defaultReadsInFlight,
      linkBytesPerSecondCap: null,
      diskBytesPerSecondCap: null,
      native: 'auto',
    },
    workload,
    maxNewTokens,
    stopAtEos: true,
    seed: 0,
    firstRepeat: 0,
  };
}

/** One prompt of each workload, then the next of each: so both of two batches get some of everything. */
async function loadMixedWorkload(promptsPerWorkload: number, vocabulary: Vocabulary): Promise<Workload> {
  const workloads = await Promise.all(
    workloadNames.map((name) => loadWorkload(name, promptsPerWorkload, vocabulary)),
  );
  const prompts = Array.from({ length: promptsPerWorkload }, (_, i) =>
    workloads.map((workload) => workload.prompts[i]!),
  );
  return { name: 'mixed', prompts: prompts.flat() };
}

/** Says what came out. @throws UserError when a strategy changed the output. */
function conclude(
  runs: readonly ExecutedRun[],
  workload: Workload,
  tokenizer: Tokenizer | null,
  output: Output,
): void {
  const records = runs.map(({ record }) => record);
  const checks = checkTokens(runs);
  output.say(`\n${formatComparison(records)}`);
  output.say('device, host, link, disk: share of decode during which the lane was busy');
  output.say(
    `\n${[...describeTokenCheck(checks, records[0]!.result.newTokens), ...explain(records)].join('\n')}`,
  );
  output.say('\ntwo decode passes of each, darker where the lane is busier');
  for (const { result } of runs) {
    const sketch = sketchTimeline(result);
    if (sketch !== null) output.say(sketch);
  }
  if (tokenizer !== null) output.say(`\n${quoteSamples(runs[0]!, workload, tokenizer)}`);
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

/** Every run against the first, which is the target alone. */
function checkTokens([reference, ...others]: readonly ExecutedRun[]): TokenCheck[] {
  return others.map(({ record, result }) => ({
    strategy: record.strategy,
    comparison: compareSequences(reference!.result.sequences, result.sequences),
  }));
}

/** The first prompt of each workload and what the target made of it. */
function quoteSamples(run: ExecutedRun, workload: Workload, tokenizer: Tokenizer): string {
  return workloadNames
    .map((name, i) => {
      const [prompt, continuation] = [workload.prompts[i]!, run.result.sequences[i]!.ids];
      return `${name}\n${quoteSample(tokenizer.decode(prompt), tokenizer.decode(continuation), 4)}`;
    })
    .join('\n');
}
