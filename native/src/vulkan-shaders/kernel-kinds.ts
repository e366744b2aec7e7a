/** What the time of a device is told by: every kernel is of a kind, and what is no kernel is a copy. */

import type { KernelName } from './kernels.js';

/** Native code knows them by their place here; copies (and zeros) are its 0. */
export const kernelKinds = ['copy', 'matmul', 'attention', 'norm', 'activation', 'rows', 'choice'] as const;

export type KernelKind = (typeof kernelKinds)[number];

const kinds: Readonly<Record<KernelName, KernelKind>> = {
  'matmul-few': 'matmul',
  'matmul-tile': 'matmul',
  'matmul-cooperative': 'matmul',
  'matmul-cooperative-bf16': 'matmul',
  'append-cache': 'attention',
  attend: 'attention',
  'combine-parts': 'attention',
  'rms-norm': 'norm',
  activate: 'activation',
  'clip-values': 'activation',
  embed: 'rows',
  gather: 'rows',
  'scatter-add': 'rows',
  'list-rows': 'rows',
  'choose-experts': 'choice',
  argmax: 'choice',
  draw: 'choice',
  'keep-tokens': 'choice',
  'swap-logits': 'choice',
  'starts-finite': 'choice',
};

export function kindOfKernel(kernel: KernelName): number {
  return kernelKinds.indexOf(kinds[kernel]);
}
