/** The flags that set the policy's fields; what is left out is the strategy's choice. */

import { type PolicyInput, parsePolicy } from '@specoffload/engine';
import type { Command } from 'commander';
import { asUsage } from '../errors.js';

export interface PolicyOptions {
  readonly candidates?: string;
  readonly decodeBatch?: string;
  readonly batches?: string;
  readonly prefillBatch?: string;
  readonly prefillOrder?: string;
  readonly draftBatch?: string;
  readonly draftCache?: string;
  readonly pinnedLayers?: string;
  readonly keptLayers?: string;
  readonly prefetchDepth?: string;
}

const numberFields = [
  'candidates',
  'decodeBatch',
  'batches',
  'prefillBatch',
  'draftBatch',
  'pinnedLayers',
  'keptLayers',
  'prefetchDepth',
] as const;
const wordFields = ['prefillOrder', 'draftCache'] as const;

export function addPolicyOptions(command: Command): Command {
  return command
    .option('--candidates <n>', 'tokens proposed per sequence and round (default: 4)')
    .option('--decode-batch <n>', 'sequences per batch (default: all prompts over the batches in flight)')
    .option('--batches <n>', 'batches in flight, 1 or 2 (default: 2 for specoffload, else 1)')
    .option('--prefill-batch <n>', 'sequences per prefill micro-batch (default: the decode batch)')
    .option('--prefill-order <order>', 'batch-major or layer-major (default: layer-major)')
    .option('--draft-batch <n>', 'sequences per draft step (default: the decode batch)')
    .option(
      '--draft-cache <how>',
      "keep the draft's cache between rounds: resident or recompute (default: resident)",
    )
    .option('--pinned-layers <n>', 'target layers whose weights stay on the device (default: as many as fit)')
    .option(
      '--kept-layers <n>',
      'further target layers whose stored weights stay in host memory (default: as many as fit)',
    )
    .option(
      '--prefetch-depth <n>',
      'weight groups of each kind that may wait ahead, per tier (default: up to 8, in a third of each budget)',
    );
}

/** @throws UsageError naming the field: `invalid candidates: 0; expected a whole number from 1 to 64`. */
export function toPolicyInput(options: PolicyOptions): PolicyInput {
  const fields: Record<string, unknown> = {};
  for (const field of numberFields) {
    const text = options[field];
    // What is no number goes on as text, so that the refusal shows what was written.
    if (text !== undefined) fields[field] = /^\d+$/.test(text) ? Number(text) : text;
  }
  for (const field of wordFields) if (options[field] !== undefined) fields[field] = options[field];
  return asUsage(() => parsePolicy(fields));
}
