/** `specoffload model pack` and `model unpack`: bf16 without loss in 0.78 of its bytes, and back. */

import { type Packing, type PackingOptions, packCheckpoint, unpackCheckpoint } from '@specoffload/engine';
import type { Command } from 'commander';
import { withPackingProgress } from '../../inputs/packed-target.js';
import { formatBytes, formatCount, formatSeconds, plural } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';

interface PackCommandOptions extends CommonOptions {
  readonly source: string;
  readonly target: string;
}

export function addPackCommands(model: Command, { signal }: CommandContext): void {
  const pack = model
    .command('pack')
    .description(
      'store a bf16 checkpoint without loss in 0.78 of its bytes; runs write the same tokens from it',
    )
    .requiredOption('--source <dir>', 'checkpoint in bf16')
    .requiredOption('--target <dir>', 'directory to write; must not exist');
  withCommonOptions(pack, 'specoffload model pack --source big --target big-packed').action(
    async (options: PackCommandOptions) => {
      const output = outputFor(options);
      const [packing, seconds] = await followed(options, packCheckpoint, output, signal);
      output.say(describePacking(packing, options.target, seconds));
      const { source, target, ...counts } = packing;
      const { name, digest, bytes } = target;
      output.document({
        directory: options.target,
        name,
        digest,
        bytes,
        sourceBytes: source.bytes,
        ...counts,
        seconds,
      });
    },
  );
  const unpack = model
    .command('unpack')
    .description('write a packed checkpoint as bf16 again, bit for bit')
    .requiredOption('--source <dir>', 'packed checkpoint')
    .requiredOption('--target <dir>', 'directory to write; must not exist');
  withCommonOptions(unpack, 'specoffload model unpack --source big-packed --target big').action(
    async (options: PackCommandOptions) => {
      const output = outputFor(options);
      const [{ name, digest, bytes }, seconds] = await followed(options, unpackCheckpoint, output, signal);
      output.say(`${options.target}: ${formatBytes(bytes)} in ${formatSeconds(seconds)}`);
      output.document({ directory: options.target, name, digest, bytes, seconds });
    },
  );
}

/** What came of it, and after how many seconds. */
async function followed<Result>(
  { source: sourceDirectory, target: targetDirectory }: PackCommandOptions,
  work: (options: PackingOptions) => Promise<Result>,
  output: Output,
  signal: AbortSignal,
): Promise<[Result, number]> {
  const startMs = performance.now();
  const result = await withPackingProgress({ sourceDirectory, targetDirectory, signal }, work, output);
  return [result, (performance.now() - startMs) / 1000];
}

const mostNames = 3;

function describePacking(
  { source, target, numPacked, unpacked }: Packing,
  path: string,
  seconds: number,
): string {
  const ratio = (target.bytes / source.bytes).toFixed(3);
  const stay =
    unpacked.length === 0
      ? 'vectors and routers stay bf16'
      : `beside vectors and routers ${formatCount(unpacked.length)} stay bf16, whose rows are no whole blocks of 64, which lie transposed, or whose exponents lie too far apart: ${unpacked.slice(0, mostNames).join(', ')}${unpacked.length > mostNames ? ', …' : ''}`;
  return `${path}: ${formatBytes(target.bytes)}, ${ratio} of ${formatBytes(source.bytes)}, in ${formatSeconds(seconds)}; ${plural(numPacked, 'tensor')} packed; ${stay}`;
}
