/** The benchmarks behind the README's claims: disk rate against plain reading, gaps between tasks. */

import { UserError } from '@specoffload/engine';
import type { Output } from '../output.js';

export interface BenchOptions {
  /** The small version. */
  readonly quick: boolean;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** Runs all benchmarks, says what they found, and ends with `output.document`. */
export async function runBenchmarks(_options: BenchOptions): Promise<void> {
  throw new UserError('the benchmarks are not built yet');
}
