/** Drafting ahead for several outcomes: what it writes is what is written without it, and what it prepares is counted. */

import {
  type Checkpoint,
  openCheckpoint,
  type PolicyInput,
  type RunRequest,
  runEngine,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { goldenDirectory, readGolden } from './model/golden.js';

const prompts = readGolden('mixtral').prompts.map(({ ids }) => ids);
let target: Checkpoint;
let dense: Checkpoint;

beforeAll(async () => {
  target = await openCheckpoint(goldenDirectory('mixtral'));
  dense = await openCheckpoint(goldenDirectory('mistral-full'));
});

function run(policy: PolicyInput, changes: Partial<RunRequest> = {}) {
  return runEngine({
    ...{ target, draft: dense, prompts, strategy: 'ahead', maxNewTokens: 14 },
    machine: { deviceBytes: 16e6, hostBytes: 16e6 },
    policy: { pinnedLayers: 0, keptLayers: 0, ...policy },
    ...changes,
  });
}

const idsOf = ({ sequences }: { readonly sequences: readonly { readonly ids: readonly number[] }[] }) =>
  sequences.map(({ ids }) => ids);

/** Drawn hot, the two models agree half of the time: outcomes of all kinds come. */
const sampling = { temperature: 1, seed: 5 };
/** So slow that a pass outlasts all outcomes. */
const caps = { diskBytesPerSecond: 4e6 };

describe('a run that prepares for several outcomes', () => {
  it('writes what is written without', async () => {
    const plain = await run({ outcomes: 4, candidates: 3, draftBatch: 1 });
    expect(idsOf(plain)).toEqual(
      readGolden('mixtral').prompts.map(({ greedy_ids }) => greedy_ids.slice(0, 14)),
    );
    expect(plain.ahead?.outcomes).toBeGreaterThan(0);
  });

  it.each(['coupled', 'rejection'] as const)(
    'prepares what the draft proposes when it knows, %s',
    async (rule) => {
      const drawn = { sampling: { ...sampling, rule } };
      const policy: PolicyInput = { candidates: 3, draftBatch: 2 };
      const serial = await run(policy, { ...drawn, strategy: 'serial' });
      const machine = { deviceBytes: 16e6, hostBytes: 16e6, caps };
      const result = await run({ ...policy, outcomes: 8 }, { ...drawn, machine });
      expect(idsOf(result)).toEqual(idsOf(serial));
      expect(result.acceptance).toEqual(serial.acceptance);
      expect(result.passes).toBe(serial.passes);
      if (rule === 'rejection') return; // what it draws in place of a candidate, nobody guesses of models this random
      const { verifications, hits, hitsByRank, takenTokens, preparedTokens } = result.ahead!;
      expect(hits).toBeGreaterThan(verifications / 4);
      expect(hits).toBeLessThan(verifications);
      expect(hitsByRank.slice(1).some((count) => count > 0)).toBe(true);
      expect(takenTokens).toBeLessThan(preparedTokens);
    },
  );
});
