/** What a GPU's queue did with a phase, by its own clock: a bar for each run, by kind of kernel. */

import type { Figure } from '@specoffload/kernel';
import { phaseShares } from './phase-shares.js';
import { colorsFor, type Titles } from './theme.js';

export interface KernelTime {
  readonly name: string;
  /** Of the phase, by kind of kernel. */
  readonly shares: Readonly<Record<string, number>>;
}

/** `kernelTime([{ name: 'specoffload', shares: { matmul: 0.6, attention: 0.1 } }])`: what is left of 100 % it was idle. */
export function kernelTime(runs: readonly KernelTime[], titles: Partial<Titles> = {}): Figure {
  const kinds = [...new Set(runs.flatMap(({ shares }) => Object.keys(shares)))];
  const colors = colorsFor(kinds);
  const parts = kinds.map((kind) => ({
    name: kind,
    color: colors.get(kind)!,
    shares: runs.map((run) => run.shares[kind] ?? 0),
  }));
  const names = runs.map(({ name }) => name);
  return phaseShares(names, parts, { title: "the GPU's queue", ...titles });
}
