/** How many of many small experts a pass touches: as the formula says, as predicted, and as a random model really does. */

import { join } from 'node:path';
import {
  type Checkpoint,
  createRandom,
  describeModel,
  type PolicyInput,
  parseModelSpec,
  runEngine,
  type Span,
  simulateRun,
} from '@specoffload/engine';
import { beforeAll, expect, it } from 'vitest';
import { chosenExperts } from '../../engine/dist/schedule/layer-costs.js';
import { likelyRows } from '../../engine/dist/speculate/routing-counter.js';
import { openMachine } from '../../experiments/src/inputs/machines.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { writeTinyCheckpoint } from './tiny.js';

const [numExperts, expertsPerToken, numLayers] = [128, 8, 2];
const json = {
  ...{ model_type: 'qwen3_moe', vocab_size: 300, hidden_size: 32, num_hidden_layers: numLayers, head_dim: 8 },
  ...{ num_attention_heads: 4, num_key_value_heads: 2, moe_intermediate_size: 8, intermediate_size: 16 },
  ...{ num_experts: numExperts, num_experts_per_tok: expertsPerToken, norm_topk_prob: true },
  max_position_embeddings: 64,
};
const maxNewTokens = 8;
const policy: PolicyInput = { experts: 'routed', pinnedLayers: 0, keptLayers: 0, batches: 1 };
let target: Checkpoint;

beforeAll(async () => {
  const directory = join(createTemporaryDirectory(), 'models');
  target = await writeTinyCheckpoint(directory, 'fine-grained', json, { dtype: 'bf16', seed: 2 });
});

function drawPrompts(count: number): number[][] {
  const random = createRandom(count);
  return Array.from({ length: count }, () => Array.from({ length: 5 }, () => random.uint32() % 300));
}

/** Experts that cross the link per layer and decoding pass. */
function touched(spans: readonly Span[]): number {
  const uploads = spans.filter(
    ({ kind, phase, name }) => kind === 'upload' && phase === 'decode' && name.includes('expert'),
  );
  return uploads.length / (new Set(uploads.map(({ pass }) => pass)).size * numLayers);
}

it.each([1, 2, 6, 16])(
  '%i rows touch as many as the formula says, within a sixth, and as recorded, nearer',
  async (rows) => {
    const prompts = drawPrompts(rows);
    const request = { target, draft: null, strategy: 'none', policy, maxNewTokens } as const;
    const measured = await runEngine({
      ...request,
      prompts,
      machine: { deviceBytes: 64e6, hostBytes: 64e6 },
    });
    const predicted = await simulateRun({
      ...{ ...request, promptLengths: prompts.map(({ length }) => length), acceptance: null },
      ...{ machine: await openMachine('env1'), keepsSpans: true },
    });
    const expected = chosenExperts({ numExperts, expertsPerToken }, rows);
    expect(touched(predicted.spans) / expected).toBeCloseTo(1, 1);
    const share = touched(measured.spans) / expected;
    expect(share).toBeGreaterThan(5 / 6);
    expect(share).toBeLessThan(7 / 6);

    // What the run tells of its own routing is what it brought, and a prediction that goes by it brings as much.
    const { routing } = measured;
    expect(routing?.rowsPerPass).toBe(rows);
    const distinct = routing!.distinctPerPass.reduce((sum, each) => sum + each, 0) / numLayers;
    expect(distinct).toBeCloseTo(touched(measured.spans), 6);
    const rowsOfLayer = routing!.rowsByExpert.map((own) => own.reduce((sum, each) => sum + each, 0));
    expect(rowsOfLayer).toEqual(new Array(numLayers).fill(rows * (maxNewTokens - 1) * expertsPerToken));
    const told = await simulateRun({
      ...{ ...request, routing, promptLengths: prompts.map(({ length }) => length), acceptance: null },
      ...{ machine: await openMachine('env1') },
    });
    const off = (bytes: number) => Math.abs(bytes / measured.bytesMoved.link - 1);
    expect(off(told.bytesMoved.link)).toBeLessThan(0.06);
    expect(off(told.bytesMoved.link)).toBeLessThan(off(predicted.bytesMoved.link));
  },
);

it('takes what chance made uneven of a short record for that, and a long record as it is', () => {
  const router = createRandom(3);
  const record = (passes: number, popular: number) => {
    const rows = new Array<number>(numExperts).fill(0);
    for (let pick = 0; pick < passes * expertsPerToken; pick += 1)
      rows[Math.floor(numExperts * router.uniform() ** popular)] += 1;
    return rows;
  };
  const spread = (rows: readonly number[]) => Math.max(...rows) - Math.min(...rows);
  const short = record(40, 1);
  expect(spread(likelyRows(short, expertsPerToken))).toBeLessThan(0.4 * spread(short));
  const long = record(4000, 2);
  expect(spread(likelyRows(long, expertsPerToken)) / spread(long)).toBeGreaterThan(0.98);
});

it('a device that holds all of a layer reads those that are chosen, and few rows are faster for it', async () => {
  const spec = parseModelSpec({ ...json, hidden_size: 512, moe_intermediate_size: 512 }, 'config.json');
  const seconds = async (unit: 'ffn' | 'expert', rows: number) => {
    const { phases } = await simulateRun({
      ...{
        target: describeModel({ name: 'model', spec, unit }),
        draft: null,
        strategy: 'none',
        maxNewTokens,
      },
      ...{ policy: {}, promptLengths: new Array<number>(rows).fill(5), acceptance: null },
      machine: await openMachine('env1'),
    });
    return phases.decode.lanes.device.busySeconds;
  };
  expect(await seconds('ffn', 1)).toBeLessThan(0.5 * (await seconds('ffn', 64)));
});
