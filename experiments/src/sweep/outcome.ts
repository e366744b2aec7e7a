/** How a sweep went. */

import type { ExperimentDefinition } from '../definitions/definition.js';
import type { PointRecord, Turn } from '../store/index.js';
import type { Findings } from './adaptive.js';
import type { Agreement } from './agreement.js';
import type { ScoredPoint } from './ranking.js';
import type { Refusal } from './refusals.js';

export interface FailedRun extends Turn {
  readonly axes: PointRecord['axes'];
  readonly message: string;
}

export interface SweepOutcome extends Findings {
  readonly experiment: string;
  readonly kind: ExperimentDefinition['kind'];
  /** Where the records are. */
  readonly folder: string;
  readonly metric: string;
  readonly lowerIsBetter: boolean;
  readonly points: number;
  /** Runs that were asked for, those of refused and pruned points left out. */
  readonly runs: number;
  /** Of them, those that had been finished before. */
  readonly before: number;
  /** Of them, those that this session stored. */
  readonly stored: number;
  readonly failed: readonly FailedRun[];
  readonly refused: readonly Refusal[];
  /** Points that halving let go, worst first. */
  readonly pruned: readonly ScoredPoint[];
  /** Points with at least one run, best first; the pruned ones too. */
  readonly ranking: readonly ScoredPoint[];
  /** Of the stored runs, those during which the machine did something else as well. */
  readonly disturbed: number;
  /** Whether measured runs of the same texts wrote the same tokens; null of predictions. */
  readonly agreement: Agreement | null;
  /** Whether nothing is left to run. */
  readonly isComplete: boolean;
  readonly elapsedSeconds: number;
}
