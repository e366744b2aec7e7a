/** `specoffload tunnel`: a machine file under which a small run here has the ratios of a large run elsewhere. */

import { type Caps, laneNames } from '@specoffload/engine';
import { parseJson, writeWholeFile } from '@specoffload/input';
import type { Command } from 'commander';
import { openAcceptance } from '../../acceptance/open.js';
import { formatCap } from '../../inputs/caps.js';
import { alignFacts } from '../../job/describe-run.js';
import { displayPath } from '../../paths.js';
import { describePolicy } from '../../plan/describe.js';
import { type DatasetName, datasetNames } from '../../reproduce/reference.js';
import { formatBytes, formatPercent, plural, threeDigits } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { formatTable } from '../../terminal/table.js';
import { createTunnel } from '../../tunnel/create.js';
import { tunnelDefaults } from '../../tunnel/named.js';
import type { TunnelPlan } from '../../tunnel/plans.js';
import { isMatched, type RatioPair } from '../../tunnel/ratios.js';
import { parseTunnel, type Tunnel } from '../../tunnel/tunnel-file.js';
import { describeRatio } from '../../tunnel/unmatched.js';
import {
  type CommandContext,
  type CommonOptions,
  oneOf,
  outputFor,
  outRemedy,
  wholeNumber,
  withCommonOptions,
} from './common.js';
import { addDeviceOption, type DeviceOptions } from './device-option.js';

interface TunnelCommandOptions extends CommonOptions, DeviceOptions {
  readonly like: string;
  readonly model?: string;
  readonly modelDraft?: string;
  readonly dataset: DatasetName;
  readonly reference: string;
  readonly target: string;
  readonly draft: string;
  readonly machine: string;
  readonly prompts: string;
  readonly numPrompts: number;
  readonly newTokens: number;
  readonly acceptance?: string;
  readonly deviceCores: number;
  readonly hostCores: number;
  readonly seconds: number;
  /** False with `--no-measure`. */
  readonly measure: boolean;
  readonly out: string;
}

export function addTunnelCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('tunnel')
    .description(
      "wind tunnel: find the caps of link, KV cache and host arithmetic, budgets, batch and draft under which a small model on this machine has the ratios of the paper's model on its own",
    )
    .requiredOption(
      '--like <which>',
      'machine to imitate: env1, env2, parts such as rtx-3090+pcie4, or a machine file',
    )
    .option('--model <name>', "model that ran there (default: the paper's on that machine)")
    .option('--model-draft <name>', "its draft, a model of the catalogue (default: the paper's)")
    .option(
      '--dataset <name>',
      `whose prompts ran there: ${datasetNames.join(', ')}`,
      oneOf('--dataset', datasetNames),
      tunnelDefaults.dataset,
    )
    .option(
      '--target <which>',
      'checkpoint directory, or pair:SIZE for the shipped target, inflated',
      tunnelDefaults.target,
    )
    .option(
      '--draft <which>',
      'the same for the draft; pair:1bit is the shipped target with one bit of mantissa left; inflated: the shipped draft in the size that matches',
      tunnelDefaults.draft,
    )
    .option(
      '--machine <file>',
      'this machine as specoffload profile measured it',
      displayPath(tunnelDefaults.machine),
    )
    .option('--prompts <which>', 'workload or file to run, as specoffload run takes', tunnelDefaults.workload)
    .option(
      '--num-prompts <n>',
      'how many of them',
      wholeNumber('--num-prompts', 2, 4096),
      tunnelDefaults.prompts,
    )
    .option(
      '--new-tokens <n>',
      'new tokens per sequence',
      wholeNumber('--new-tokens', 1, 1 << 20),
      tunnelDefaults.newTokens,
    )
    .option(
      '--acceptance <which>',
      'chance that a candidate stands here: 0.7, by position 0.8,0.7,0.6, or an acceptance file (default: as there)',
    )
    .option(
      '--device-cores <n>',
      'as in the profile',
      wholeNumber('--device-cores', 1, 1024),
      tunnelDefaults.cores.device,
    )
    .option(
      '--host-cores <n>',
      'as in the profile',
      wholeNumber('--host-cores', 1, 1024),
      tunnelDefaults.cores.host,
    )
    .option(
      '--seconds <n>',
      'longest that a run of SpecOffload may take',
      wholeNumber('--seconds', 1, 86_400),
      tunnelDefaults.seconds,
    )
    .option('--no-measure', 'trust the profile, and run nothing: the draft there had another size')
    .option(
      '--reference <dir>',
      "published figures and the scripts' batches",
      displayPath(tunnelDefaults.reference),
    )
    .requiredOption('--out <file>', 'the tunnel file');
  addDeviceOption(command);
  withCommonOptions(
    command,
    'specoffload tunnel --like env1 --out tunnel.json',
    'specoffload run --tunnel tunnel.json --strategy specoffload',
  ).action((options: TunnelCommandOptions) => tunnel(options, outputFor(options), context.signal));
}

async function tunnel(options: TunnelCommandOptions, output: Output, signal: AbortSignal): Promise<void> {
  const {
    like,
    model,
    modelDraft,
    dataset,
    reference,
    target,
    machine,
    device,
    arithmetic,
    newTokens,
    seconds,
  } = options;
  const created = await createTunnel(
    {
      ...{ like, dataset, reference, target, machine, device, arithmetic, newTokens, seconds },
      ...(model === undefined ? {} : { model }),
      ...(modelDraft === undefined ? {} : { modelDraft }),
      measures: options.measure,
      draft: options.draft === 'inflated' ? null : options.draft,
      workload: options.prompts,
      prompts: options.numPrompts,
      cores: { device: options.deviceCores, host: options.hostCores },
      acceptance:
        options.acceptance === undefined ? null : await openAcceptance('--acceptance', options.acceptance),
    },
    output,
    signal,
  );
  const text = `${JSON.stringify(created, null, 2)}\n`;
  const parsed = parseTunnel(parseJson(text, options.out), options.out); // what can't be read back is not written
  await writeWholeFile(options.out, text, { remedy: outRemedy });
  output.say(describeTunnel(parsed));
  output.say(
    `\nwritten to ${displayPath(options.out)}; specoffload run --tunnel ${displayPath(options.out)}`,
  );
  output.document({ path: options.out, tunnel: parsed });
}

function describeCap(caps: Caps, name: keyof Caps): string {
  const rate = caps[name];
  return rate === null ? 'not capped' : `capped to ${formatCap(name, rate)}`;
}

const pickNames: Readonly<Record<keyof Tunnel['planned'], string>> = {
  withDraft: 'planned with a draft',
  withoutDraft: 'planned without a draft',
  flexgen: 'FlexGen, planned',
  packed: 'planned, weights packed',
  flexgenPacked: 'FlexGen, weights packed',
};

function describePick(which: keyof Tunnel['planned'], pick: TunnelPlan | null): [string, string] {
  const name = pickNames[which];
  if (pick === null) return [name, 'nothing fits'];
  const predicted = `${threeDigits(pick.tokensPerSecond)} tokens/s`;
  return [name, `${pick.strategy} ${describePolicy(pick.policy)}; predicted ${predicted}`];
}

function describeTunnel(tunnel: Tunnel): string {
  const { like, models, caps, memory, workload, policy, lanes } = tunnel;
  const facts = alignFacts([
    ['theirs', `${like.target} with ${like.draft} on ${like.machine}, ${like.dataset}`],
    [
      'ours',
      `${models.target} with ${models.draft}, ${plural(workload.prompts, 'prompt')} of ${workload.name}`,
    ],
    ['link', describeCap(caps, 'linkBytesPerSecond')],
    [
      'KV cache',
      `attention on the host ${describeCap(caps, 'hostCacheBytesPerSecond')}, to the device ${describeCap(caps, 'linkCacheBytesPerSecond')}`,
    ],
    [
      'host',
      `arithmetic ${describeCap(caps, 'hostFlopsPerSecond')}, weights it reads ${describeCap(caps, 'hostWeightBytesPerSecond')}`,
    ],
    ['draft', `arithmetic ${describeCap(caps, 'draftFlopsPerSecond')}`],
    [
      'memory',
      `device ${formatBytes(memory.deviceBytes)}, where a byte of KV cache counts as ${threeDigits(memory.deviceCacheFactor)}, of a kept draft cache as ${threeDigits(memory.draftCacheFactor)}; host ${formatBytes(memory.hostBytes)}`,
    ],
    [
      'policy',
      `${policy.candidates} candidates, draft cache ${policy.draftCache}, draft batch ${policy.draftBatch}`,
    ],
  ]);
  const ratios = formatTable<RatioPair>(
    [
      { title: 'ratio', align: 'left', text: ({ name }) => name },
      { title: 'theirs', text: ({ theirs }) => describeRatio(theirs) },
      { title: 'ours', text: ({ ours }) => describeRatio(ours) },
      { title: 'ours/theirs', text: ({ ours, theirs }) => describeRatio(ours / theirs) },
      { title: '', align: 'left', text: (pair) => (isMatched(pair) ? '' : 'not matched') },
    ],
    tunnel.ratios,
  );
  const shares = formatTable(
    [
      { title: 'busy in decode, predicted', align: 'left', text: ([name]) => name },
      ...laneNames.map((lane) => ({
        title: lane,
        text: ([, share]: readonly [string, Tunnel['lanes']['ours']]) => formatPercent(share[lane]),
      })),
    ],
    [['theirs', lanes.theirs] as const, ['ours', lanes.ours] as const],
  );
  const plans = (Object.keys(pickNames) as (keyof typeof pickNames)[]).map((which) =>
    describePick(which, tunnel.planned[which]),
  );
  const unmatched = tunnel.unmatched.map((sentence) => `- ${sentence}`);
  return [
    ...facts,
    '',
    ratios,
    '',
    shares,
    '',
    ...alignFacts(plans),
    ...(unmatched.length > 0 ? ['', 'not matched:', ...unmatched] : []),
  ].join('\n');
}
