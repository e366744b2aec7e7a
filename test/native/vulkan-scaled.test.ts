/** Products of a GPU's kernels with weights whose scales lie apart: what they are of the decoded matrix. */

import {
  codecs,
  decodeMatrix,
  type MatrixLayout,
  matmul,
  type StoredFormat,
  scaleGridSize,
} from '@specoffload/native';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { partsOf } from '../../native/dist/codecs/matrix.js';
import { whyNoVulkan } from '../engine/vulkan.js';
import { createRandom } from './helpers.js';
import { KernelRunner } from './kernel-runner.js';
import { depth, kinds, matrixOf, width } from './scaled-kinds.js';

const random = createRandom(22);

describe.skipIf(whyNoVulkan !== null)('kernels', () => {
  let runner: KernelRunner;
  beforeAll(async () => {
    runner = await KernelRunner.open();
  });
  afterAll(() => runner.close());

  /** Each part in a place of its own. */
  function place(stored: Uint8Array, format: StoredFormat, layout: MatrixLayout) {
    const { scales, step, across } = layout;
    const { offset: _, groupStride = 0, zeros, groupOfColumn, ...grid } = scales!;
    const [, perRow] = scaleGridSize(layout, scales!);
    const [scalesAt, ...others] = partsOf(layout).map(({ offset, bytes }) =>
      runner.input(stored.slice(offset, offset + bytes)),
    );
    const inWord = zeros ? codecs[zeros.codec].blockElements : 1;
    return {
      ...{ address: runner.input(stored.slice(0, scales!.offset)), format, across },
      rowBytes: step * codecs[format].bytes(depth),
      scales: {
        ...{ ...grid, address: scalesAt! },
        ...(groupStride > 0 ? { across: 1, groupStride } : { across: perRow * step }),
        ...(zeros && {
          zeros: {
            ...{ address: others[0]!, isLessOne: zeros.isLessOne },
            ...(zeros.groupStride > 0
              ? { across: 1, groupStride: zeros.groupStride / inWord }
              : { across: perRow, groupStride: 1 }),
          },
        }),
        ...(groupOfColumn && { groupOfColumn: others.at(-1)! }),
      },
    };
  }

  test.each(Object.keys(kinds))('%s', async (name) => {
    const { dtype } = kinds[name]!;
    const { layout, weights } = matrixOf(kinds[name]!);
    const bits = new Uint32Array(width * depth);
    decodeMatrix(weights, 0, dtype, layout, bits);
    const decoded = new Float32Array(bits.buffer);
    const byValue = layout.across > 0 ? [[1, false] as const] : [];
    for (const [rows, isAligned] of [[2, true] as const, [18, true] as const, ...byValue]) {
      const x = Float32Array.from({ length: rows * depth }, () => 2 * random() - 1);
      const y = runner.output(rows * width * 4);
      await runner.run(
        matmul(
          {
            ...{ rows, depth, width, isAligned, x: runner.input(x), y: y.address },
            weights: place(weights, dtype as StoredFormat, layout),
          },
          runner.limits,
        ),
      );
      const found = y.floats();
      for (let at = 0; at < found.length; at += 1) {
        const [row, output] = [Math.floor(at / width), at % width];
        let [sum, size] = [0, 1e-3];
        for (let k = 0; k < depth; k += 1) {
          const term = x[row * depth + k]! * decoded[output * depth + k]!;
          sum += term;
          size += Math.abs(term);
        }
        const error = Math.abs(found[at]! - sum) / size;
        if (!(error < 1e-6)) expect.fail(`${rows} rows, ${at}: ${error}`);
      }
    }
  });
});
