/** The flags that set the policy's fields, one per field of the engine; what is left out is the strategy's choice. */

import { type Policy, type PolicyInput, parsePolicy, policyFields } from '@specoffload/engine';
import { parseNumber } from '@specoffload/input';
import type { Command } from 'commander';
import { asUsage } from '../../terminal/errors.js';

/** Values as typed, by the field's name. */
export type PolicyOptions = { readonly [Field in keyof Policy]?: string };

/** What each field means, and what it is when left out. */
const help: Readonly<Record<keyof Policy, readonly [meaning: string, otherwise: string]>> = {
  speculation: ['who proposes, and when', "the strategy's"],
  decodeBatch: ['sequences per batch', 'all prompts over the batches in flight'],
  batches: ['batches in flight, as many as the strategy can take', '2 for specoffload, else 1'],
  microBatch: ['sequences that compute together in decode', 'the decode batch'],
  prefillBatch: ['sequences per prefill micro-batch', 'the decode batch'],
  prefillOrder: ['stream all weights per micro-batch, or each layer once for all', 'layer-major'],
  draftBatch: ['sequences per draft step', 'the decode batch'],
  candidates: ['tokens proposed per sequence and round', '4'],
  draftCache: [
    "keep the draft's cache between rounds, or prefill the context, or a window of it",
    'resident',
  ],
  draftWindow: ['latest tokens that a draft with draft-cache window sees', '64'],
  cache: ["memory that holds the target's KV cache", 'host'],
  attention: ["lane of the target's attention in decode", 'host'],
  prefillAttention: ["lane of the target's attention in prefill", 'as attention'],
  projections: ["lane of the attention's projections in decode", 'device'],
  streaming: ['weights come ahead, or each group when its turn has come', 'ahead'],
  attentionWeights: ['attention weights cross the link in every pass, or stay on the device', 'streamed'],
  experts: ['bring all experts of a layer, or those that its router chose', 'all'],
  hostExpertRows: ['experts chosen by at most so many rows are computed on the host', '0'],
  hostShare: ["share of every FFN's rows that the host computes, 0 to 1", '0'],
  pageLocked: ['share of the weights in page-locked host memory, 0 to 1', '1'],
  pinnedLayers: ['target layers whose weights stay on the device', 'as many as fit'],
  keptLayers: ['further target layers whose stored weights stay in host memory', 'as many as fit'],
  prefetchDepth: [
    'weight groups of each kind that may wait ahead, per tier',
    'up to 8, in a third of each budget',
  ],
  draftPlacement: ['when the draft takes its place on the device', 'start'],
  ending: ["a sequence ends at its own limit, or when its batch's slowest is there", 'own-limit'],
  refill: ["a finished sequence's place goes to the next prompt at once", 'no'],
};

const fields = Object.keys(policyFields) as (keyof Policy)[];

export function addPolicyOptions(command: Command): Command {
  for (const field of fields) {
    const kind = policyFields[field];
    const [meaning, otherwise] = help[field];
    const words = kind.kind === 'choice' ? `: ${kind.words.join(', ')}` : '';
    command.option(
      `--${toFlag(field)} <${kind.kind === 'choice' ? 'which' : 'n'}>`,
      `${meaning}${words} (default: ${otherwise})`,
    );
  }
  return command;
}

/** @throws UsageError naming the field: `invalid candidates: 0; expected a whole number from 1 to 64`. */
export function toPolicyInput(options: PolicyOptions): PolicyInput {
  const given: Record<string, unknown> = {};
  for (const field of fields) {
    const text = options[field];
    if (text === undefined) continue;
    // What is no number goes on as text, so that the refusal shows what was written.
    given[field] = policyFields[field].kind === 'choice' ? text : (parseNumber(text) ?? text);
  }
  return asUsage(() => parsePolicy(given));
}

/** `decodeBatch` as `decode-batch`. */
export function toFlag(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
