/**
 * Matrix products by cooperative matrices, where the device has them: x and W are narrowed to 16 bits, sums are fp32.
 * Whoever chooses them chooses that arithmetic.
 */

import { argumentsOf, type KernelLimits, type Matmul, spread } from './dispatches.js';
import { createDispatch, type Dispatch } from './kernels.js';

/** What a device's subgroups multiply at once: M, N and K of a block. */
export interface CooperativeMatrices {
  readonly format: 'bf16' | 'f16';
  readonly blockRows: number;
  readonly blockOutputs: number;
  readonly blockDepth: number;
  readonly subgroupSize: number;
}

/** Of one subgroup, about: 32 rows by 64 outputs. */
const [rowsEach, outputsEach] = [32, 64];

/** @returns null where the device's limits leave no room for its tiles */
export function cooperativeMatmul<A>(
  operation: Matmul<A>,
  matrices: CooperativeMatrices,
  limits: KernelLimits,
): Dispatch<A> | null {
  const { rows, width } = operation;
  const { format, blockRows, blockOutputs, blockDepth, subgroupSize } = matrices;
  const { shared, formats } = argumentsOf(operation);
  const [acrossRows, acrossOutputs] = rows > 2 * rowsEach ? [4, 2] : [2, 2];
  const shape = {
    ...{ blockRows, blockOutputs, blockDepth, acrossRows, acrossOutputs },
    threads: acrossRows * acrossOutputs * subgroupSize,
    subgroupRows: Math.max(1, rowsEach / blockRows),
    subgroupOutputs: Math.max(1, outputsEach / blockOutputs),
  };
  const tileRows = blockRows * shape.subgroupRows * acrossRows;
  const tileOutputs = blockOutputs * shape.subgroupOutputs * acrossOutputs;
  const rowBytes = 2 * 32 + 16; // of the depth at a time, padded
  const sharedBytes =
    rowBytes * (tileRows + tileOutputs) + 4 * acrossRows * acrossOutputs * blockRows * blockOutputs;
  if (shape.threads > limits.workgroupInvocations || sharedBytes > limits.sharedMemoryBytes) return null;
  return createDispatch(format === 'bf16' ? 'matmul-cooperative-bf16' : 'matmul-cooperative', {
    ...shared,
    constants: { ...formats, ...shape, packsBf16: Number(format === 'bf16') },
    groups: spread(Math.ceil(rows / tileRows) * Math.ceil(width / tileOutputs), limits),
  });
}
