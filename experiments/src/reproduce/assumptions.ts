/** What the paper leaves open, and how it is filled in here. Everything is printed with the predictions. */

import type { DatasetName, EnvironmentName, ModelName } from './reference.js';

/** Tokens of each dataset's longest prompt, to which every prompt of a batch is padded. */
export const paddedPromptTokens: Readonly<Record<DatasetName, number>> = {
  HumanEval: 437,
  'C-Eval': 483,
  SummEval: 783,
  SAMSum: 1144,
};

/** Names in the engine's catalogue. */
export const catalogNames: Readonly<Record<ModelName, { readonly target: string; readonly draft: string }>> =
  {
    'Mixtral 8x7B': { target: 'mixtral-8x7b', draft: 'mistral-7b' },
    'Mixtral 8x22B': { target: 'mixtral-8x22b', draft: 'mistral-7b' },
    'LLaMA-3.3-70B': { target: 'llama-3.3-70b', draft: 'llama-3.1-8b' },
  };

/** Where a model's bars were measured, for figures that do not say it. */
export const environmentOf: Readonly<Record<ModelName, EnvironmentName>> = {
  'Mixtral 8x7B': 'env1',
  'Mixtral 8x22B': 'env2',
  'LLaMA-3.3-70B': 'env1',
};

/** Whose scripts a model without scripts of its own is taken to have been run with. */
export const scriptedLike: Readonly<Partial<Record<ModelName, ModelName>>> = {
  'LLaMA-3.3-70B': 'Mixtral 8x7B',
};

/** GPU batches that pass each layer together in FlexGen, each as large as the listed batch. */
export const flexgenBlock = 3;

/** Layers that FlexGen keeps on the GPU where no memory curve says it: what 24 GB hold beside the buffers. */
export const flexgenDefaultLayers = 10;

/** An expert that fewer rows chose is computed by Fiddler's host; the released code has 7 per row against 70. */
export const fiddlerHostRows = 10;

/** What the memory curve and the utilisation were measured with, where their figures do not say it. */
export const sideFigures = {
  model: 'Mixtral 8x7B',
  dataset: 'SummEval',
  memoryLength: 16,
  utilizationLength: 32,
} as const;

/**
 * The ablation without policy search: batches as listed, but the least prefill batch and the fewest candidates that
 * any script has. Chosen among a few defaults after seeing the bar of 8x7B.
 */
export const unsearchedPolicy = { prefillBatch: 16, candidates: 4 } as const;

/** The ablation without speculation runs at most so many sequences per batch. Chosen like the above. */
export const mostUnspeculatedSequences = 160;

/** For people, in the order of their weight. */
export const assumptionTexts: readonly string[] = [
  'tokens are counted as the released code counts them: SpecOffload runs a batch until its slowest sequence has the asked length and counts everything generated meanwhile; the others count what was asked',
  'every prompt is padded to the longest of its dataset: 437, 483, 783, 1144 tokens (HumanEval, C-Eval, SummEval, SAMSum)',
  `FlexGen passes ${flexgenBlock} GPU batches of the listed size through each layer together`,
  'FlexGen keeps as many layers on the GPU as the memory curve shows: its points lie one FFN layer apart (in GiB); LLaMA, which has no curve, keeps 10; fewer where the activations need the room',
  'weights of Accelerate, DeepSpeed and Fiddler lie in pageable memory, those of FlexGen in page-locked memory, half of those of SpecOffload in each (its released code pins half)',
  'the KV cache is copied as the released code copies it: torch.cat and repeat_kv move 3 + 2g bytes for each of its bytes, g the query heads that share a KV head (4 in 8x7B, 6 in 8x22B), on the host and on the device; FlexGen is taken to copy it, repeated for each head, into page-locked memory before it crosses, which moves 2g; LLaMA, whose code is not released, to copy as often as 8x7B',
  'SpecOffload runs as released: attention with its projections on the CPU, no prefetch, prefill micro-batch by micro-batch, the draft prefilling its whole context every round, the draft moved in after prefill',
  'LLaMA has no scripts: SpecOffload uses the 8x7B batches, the baselines those times llamaBatch; the draft is Llama-3.1-8B; its padded prompts are llamaPrompt times as long (its published prefill is faster than the GPU peak for full prompts)',
  'Fiddler keeps attention on the GPU, brings experts after routing and computes those with up to 10 rows on the CPU; expert popularity is log-normal',
  `ablation (which does not say its policies): without policy search prefill batch ${unsearchedPolicy.prefillBatch} and ${unsearchedPolicy.candidates} candidates, the least of all scripts; serial is the same policy with the draft before each pass; without speculation at most ${mostUnspeculatedSequences} sequences per batch`,
  `memory curve and utilisation: ${sideFigures.dataset}, ${sideFigures.memoryLength} and ${sideFigures.utilizationLength} new tokens`,
];
