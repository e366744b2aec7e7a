import {
  hasUnfinished,
  openCheckpoint,
  type RunRequest,
  runEngine,
  type Span,
  type Strategy,
  simulateRun,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { goldenDirectory, readGolden } from './model/golden.js';
import { workstation } from './plan-cases.js';

/** Three batches in flight: while the target verifies one, the draft proposes for the one after next. */
const twoAhead: Strategy = {
  name: 'two-ahead',
  summary: 'the draft proposes two batches before the target verifies them',
  orders: {
    async interleaved({ batches, propose, verify }) {
      const after = (batch: number, steps: number) => (batch + steps) % batches.length;
      await propose(0);
      if (batches.length > 1) await propose(1);
      for (let verifying = 0; batches.some(hasUnfinished); verifying = after(verifying, 1)) {
        const proposing = after(verifying, 2);
        if (proposing !== verifying) await Promise.all([verify(verifying), propose(proposing)]);
        else {
          await verify(verifying);
          await propose(proposing);
        }
      }
    },
  },
  mostBatches: 3,
  planned: 'everything',
  defaults: { batches: 3 },
};

describe('a strategy that is no part of the engine', () => {
  let request: Omit<RunRequest, 'strategy'>;

  beforeAll(async () => {
    request = {
      target: await openCheckpoint(goldenDirectory('mixtral')),
      draft: await openCheckpoint(goldenDirectory('mixtral')),
      prompts: readGolden('mixtral').prompts.map(({ ids }) => ids),
      maxNewTokens: 12,
      machine: { deviceBytes: 16e6, hostBytes: 16e6 },
      // Three sequences, and then the others, with fewer batches than the strategy takes.
      policy: { pinnedLayers: 0, keptLayers: 0, decodeBatch: 1 },
    };
  });

  const inOrder = (spans: readonly Span[]) => [
    ...new Set(
      spans
        .filter(({ kind, phase }) => phase === 'decode' && (kind === 'draft' || kind === 'head'))
        .map(({ kind, batch, pass }) => `${kind} ${batch} in pass ${pass}`),
    ),
  ];

  it('writes what plain decoding writes, in its own order', async () => {
    expect(request.prompts.length).toBeGreaterThanOrEqual(3);
    const plain = await runEngine({ ...request, strategy: 'none' });
    // On a device that answers late and out of turn: an order that does not wait where it must would show.
    const run = await runEngine({ ...request, strategy: twoAhead, device: { kind: 'isolated' } });
    expect(run.outputDigest).toBe(plain.outputDigest);
    expect(run).toMatchObject({ strategy: 'two-ahead', policy: { batches: 3 }, acceptance: { rate: 1 } });
    // Both of the first batches are proposed for before the first is verified, and the third meanwhile.
    const moves = inOrder(run.spans);
    expect(moves.slice(0, 2)).toEqual(['draft 0 in pass 1', 'draft 1 in pass 1']);
    expect(moves.slice(2, 4).sort()).toEqual(['draft 2 in pass 1', 'head 0 in pass 1']);
  });

  it('is predicted in the same order', async () => {
    const { strategy, spans } = await simulateRun({
      ...{ ...request, strategy: twoAhead, machine: workstation },
      promptLengths: request.prompts.map(({ length }) => length),
      acceptance: { kind: 'rates', name: 'always', byPosition: [1] },
    });
    expect(strategy).toBe('two-ahead');
    expect(inOrder(spans).slice(0, 2)).toEqual(['draft 0 in pass 1', 'draft 1 in pass 1']);
  });

  it('has no more batches in flight than it says', async () => {
    await expect(runEngine({ ...request, strategy: twoAhead, policy: { batches: 4 } })).rejects.toThrow(
      'invalid batches: 4; the strategy two-ahead has at most 3 in flight',
    );
  });
});
