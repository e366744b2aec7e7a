/** Experts that compute the rows of all micro-batches at once: the same tokens and transfers, fewer products. */

import {
  type Checkpoint,
  openCheckpoint,
  type PolicyInput,
  type RunResult,
  runEngine,
  type Span,
  simulateRun,
} from '@specoffload/engine';
import { beforeAll, expect, it } from 'vitest';
import { inChunksOfFrames } from '../../engine/dist/run/expert-rows.js';
import { ffnChunkRows } from '../../engine/dist/schedule/memory-plan.js';
import { openMachine } from '../../experiments/src/inputs/machines.js';
import { goldenDirectory, readGolden } from './model/golden.js';

const golden = readGolden('mixtral').prompts;
const maxNewTokens = 6;
let target: Checkpoint;

beforeAll(async () => {
  target = await openCheckpoint(goldenDirectory('mixtral'));
});

const policy: PolicyInput = { microBatch: 1, prefillBatch: 1, pinnedLayers: 0, keptLayers: 0 };
const request = (coalesceExperts: 'no' | 'yes') => {
  const strategy = 'none' as const;
  return { target, draft: null, strategy, maxNewTokens, policy: { ...policy, coalesceExperts } };
};

function experts(spans: readonly Span[]): { readonly products: number; readonly rows: number } {
  const own = spans.filter(({ kind }) => kind === 'expert');
  return { products: own.length, rows: own.reduce((sum, { rows }) => sum + rows, 0) };
}

it('writes the same, with fewer products of more rows', async () => {
  const run = (coalesce: 'no' | 'yes') =>
    runEngine({
      ...request(coalesce),
      prompts: golden.map(({ ids }) => ids),
      machine: { deviceBytes: 16e6, hostBytes: 16e6 },
    });
  const [apart, together] = [await run('no'), await run('yes')];
  const expected = golden.map(({ greedy_ids }) => greedy_ids.slice(0, maxNewTokens));
  for (const { sequences } of [apart, together]) expect(sequences.map(({ ids }) => ids)).toEqual(expected);
  // Of passes that were run: more may be on its way when the last one ends.
  const uploads = ({ spans, passes }: RunResult) =>
    spans.filter(({ kind, pass }) => kind === 'upload' && pass < passes).length;
  expect(uploads(together)).toBe(uploads(apart));
  expect(experts(together.spans).rows).toBe(experts(apart.spans).rows);
  expect(experts(together.spans).products).toBeLessThan(0.8 * experts(apart.spans).products);
});

it('is predicted to read weights once in place of once per micro-batch', async () => {
  const predict = async (coalesce: 'no' | 'yes') => {
    const { phases, spans } = await simulateRun({
      ...{ ...request(coalesce), promptLengths: [5, 5, 5, 5], acceptance: null },
      machine: await openMachine('env1'),
    });
    return { seconds: phases.decode.lanes.device.busySeconds, ...experts(spans) };
  };
  const [apart, together] = [await predict('no'), await predict('yes')];
  expect(together.products).toBeLessThan(0.6 * apart.products);
  expect(together.seconds).toBeLessThan(apart.seconds);
});

it('takes no more rows at once than the scratch memory holds', () => {
  const rowsOf = (count: number) => ({
    indices: Int32Array.from({ length: count }, (_, row) => row),
    scales: new Float32Array(count),
  });
  const counts = [ffnChunkRows - 6, 10, 0, 2 * ffnChunkRows];
  const chunks = [...inChunksOfFrames(counts.map((count, frame) => ({ frame, rows: rowsOf(count) })))];
  const sizes = chunks.map((chunk) =>
    chunk.map(({ frame, first, rows }) => [frame, first, rows.indices.length]),
  );
  expect(sizes).toEqual([
    [
      [0, 0, ffnChunkRows - 6],
      [1, ffnChunkRows - 6, 6],
    ],
    [
      [1, 0, 4],
      [3, 4, ffnChunkRows - 4],
    ],
    [[3, 0, ffnChunkRows]],
    [[3, 0, 4]],
  ]);
  expect((chunks[1]![0]!.rows.indices as Int32Array)[0]).toBe(6);
});
