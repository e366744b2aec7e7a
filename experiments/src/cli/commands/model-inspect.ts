/** `specoffload model inspect`: architecture, parameters, bytes by role and by layer. */

import {
  type CheckpointReport,
  inspectCheckpoint,
  type TargetFormat,
  targetFormats,
} from '@specoffload/engine';
import type { Command } from 'commander';
import { openOrDescribeModel } from '../../inputs/models.js';
import { alignFacts } from '../../job/describe-run.js';
import { formatBytes, formatCount, formatPercent } from '../../terminal/format.js';
import { formatTable } from '../../terminal/table.js';
import { type CommandContext, type CommonOptions, oneOf, outputFor, withCommonOptions } from './common.js';

export function addInspectCommand(model: Command, _context: CommandContext): void {
  const command = model
    .command('inspect')
    .description('print architecture, parameters, bytes by role and by layer')
    .argument(
      '<model>',
      'a directory with config.json, with weights or without, a .gguf file, or a model of the catalogue',
    );
  command.option(
    '--target-format <which>',
    `as if its matrices were stored as ${targetFormats.join(', ')}`,
    oneOf('--target-format', targetFormats),
  );
  withCommonOptions(
    command,
    'specoffload model inspect experiments/pair/target',
    'specoffload model inspect mixtral-8x7b',
  ).action(async (directory: string, options: CommonOptions & { readonly targetFormat?: TargetFormat }) => {
    const report = inspectCheckpoint(await openOrDescribeModel(directory, 'ffn', options.targetFormat));
    const output = outputFor(options);
    output.say(describeCheckpoint(report));
    output.document(report);
  });
}

export function describeCheckpoint(report: CheckpointReport): string {
  const { numExperts, expertsPerToken, ffnSize, sharedFfnSize } = report;
  const width = formatCount(ffnSize);
  const shared = sharedFfnSize === undefined ? '' : `, and one ${formatCount(sharedFfnSize)} wide for all`;
  const ffn =
    numExperts === 1
      ? `dense, ${width} wide`
      : `${numExperts} experts ${width} wide, ${expertsPerToken} per token${shared}`;
  const dtypes = Object.entries(report.dtypes).map(([dtype, { bytes }]) => `${dtype} ${formatBytes(bytes)}`);
  const facts = alignFacts([
    [
      'architecture',
      `${report.architecture}, ${report.numLayers} layers, ${formatCount(report.hiddenSize)} hidden`,
    ],
    ['ffn', ffn],
    ['vocabulary', formatCount(report.vocabSize)],
    [
      'parameters',
      `${formatCount(report.parameters)}, ${formatCount(report.activeParameters)} active per token`,
    ],
    [
      'bytes',
      `${formatBytes(report.bytes)} stored (${dtypes.join(', ')}), ${formatBytes(report.deviceBytes)} as fp32`,
    ],
    ['kv cache', `${formatBytes(report.kvBytesPerToken)} per token`],
    ['digest', report.digest],
  ]);
  return [`${report.name}`, ...facts, '', describeRoles(report), '', describeLayers(report)].join('\n');
}

function describeRoles({ bytesByRole, bytes }: CheckpointReport): string {
  return formatTable<[string, number]>(
    [
      { title: 'role', align: 'left', text: ([role]) => role },
      { title: 'bytes', text: ([, roleBytes]) => formatBytes(roleBytes) },
      { title: 'share', text: ([, roleBytes]) => formatPercent(roleBytes / bytes) },
    ],
    Object.entries(bytesByRole).sort(([, a], [, b]) => b - a),
  );
}

/** Neighbours of equal size share a row. */
function describeLayers({ bytesByLayer }: CheckpointReport): string {
  const stretches: { first: number; last: number; bytes: number }[] = [];
  for (const [layer, bytes] of bytesByLayer.entries()) {
    const stretch = stretches.at(-1);
    if (stretch?.bytes === bytes) stretch.last = layer;
    else stretches.push({ first: layer, last: layer, bytes });
  }
  return formatTable(
    [
      {
        title: 'layer',
        align: 'left',
        text: ({ first, last }) => (first === last ? `${first}` : `${first} to ${last}`),
      },
      { title: 'bytes each', text: ({ bytes }) => formatBytes(bytes) },
    ],
    stretches,
  );
}
