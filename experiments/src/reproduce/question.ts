/** What predictions are asked: one published figure each. */

import type { DatasetName, EnvironmentName, ModelName, SystemName, VariantName } from './reference.js';

/** What a published figure answers: one system on one workload. */
export interface Question {
  readonly system: SystemName;
  readonly model: ModelName;
  readonly environment: EnvironmentName;
  readonly dataset: DatasetName;
  readonly generationLength: number;
  readonly variant?: VariantName;
  /** Of the memory curve. */
  readonly gpuMemoryGB?: number;
  /** Divides the listed batches: the alternative reading of 8x22B C-Eval. @default 1 */
  readonly batchDivisor?: number;
}
