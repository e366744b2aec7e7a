/** What is said before a run that proposes, where this machine's profile predicts that it does not pay. */

import { catalogSpec, describeModel, expectedTokens, type PolicyInput, payoffOf } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { localSettings } from '../../../experiments/src/inputs/caps.js';
import { usualAcceptance } from '../../../experiments/src/inputs/usual-acceptance.js';
import type { Job } from '../../../experiments/src/job/execute.js';
import { describePayoff } from '../../../experiments/src/job/payoff.js';
import { workstation } from '../../engine/plan-cases.js';

const mixtral = catalogSpec('mixtral-8x7b');
const target = describeModel({ name: 'target', spec: { ...mixtral, layers: mixtral.layers.slice(0, 4) } });
const job = (changes: Partial<Job> = {}): Job => ({
  ...{ strategy: 'serial', policy: {}, target, draft: null, drafter: 'suffix-automaton', tokenizer: null },
  workload: { name: 'code', prompts: [new Array<number>(64).fill(0)] },
  ...{ maxNewTokens: 32, stopAtEos: false },
  machine: localSettings({ deviceBytes: 16e9, hostBytes: 64e9 }),
  ...changes,
});
/** Each row costs as much as the weights of a layer. */
const crowded = {
  ...workstation,
  lanes: workstation.lanes.map((lane) =>
    lane.name === 'device' && 'arithmetic' in lane ? { ...lane, arithmetic: [[1, 1e8]] as const } : lane,
  ),
};

describe('before a run', () => {
  it('nothing is said where weights stream and candidates cost nothing', () => {
    expect(describePayoff(job(), workstation)).toBeNull();
  });

  it.each<[PolicyInput, string]>([
    [{}, 'take --strategy none, or add --adapt-candidates yes'],
    [{ adaptCandidates: 'yes' }, 'rounds propose only while measured times say that it pays'],
  ])('one sentence says that rows are too dear: %o', (policy, remedy) => {
    const sentence = describePayoff(job({ policy }), crowded, {
      kind: 'rates',
      name: 'none',
      byPosition: [0],
    });
    expect(sentence).toMatch(
      /^serial: proposing is not predicted to pay here: [\d.]+ tokens\/s at none, [\d.]+ without; /,
    );
    expect(sentence).toContain(remedy);
  });

  it('nothing is said of a run that does not propose, or does not fit', () => {
    expect(describePayoff(job({ strategy: 'none' }), crowded)).toBeNull();
    expect(
      describePayoff(job({ machine: localSettings({ deviceBytes: 1e6, hostBytes: 1e6 }) }), crowded),
    ).toBeNull();
  });

  it('the same policy is compared, all sequences in one batch', () => {
    const of = (strategy: 'serial' | 'specoffload', decodeBatch: number) =>
      payoffOf(
        {
          ...{ target, draft: null, drafter: 'prompt-lookup', machine: workstation, maxNewTokens: 32 },
          ...{ promptLengths: new Array<number>(8).fill(64), acceptance: usualAcceptance('prompt-lookup') },
        },
        { strategy, policy: { decodeBatch, candidates: 16, pinnedLayers: 0 } },
      );
    const [serial, swapping] = [of('serial', 8), of('specoffload', 4)];
    expect(swapping?.plainTokensPerSecond).toBe(serial?.plainTokensPerSecond);
    expect(serial?.tokensPerSecond).toBeGreaterThan(1.5 * (serial?.plainTokensPerSecond as number));
  });
});

it('acceptance is known of every drafter and shipped workload', () => {
  for (const drafter of ['model', 'prompt-lookup', 'suffix-automaton', 'self'] as const) {
    const [own, mean] = [usualAcceptance(drafter, 'code'), usualAcceptance(drafter, 'mine.txt')];
    expect(own.byPosition).not.toEqual(mean.byPosition);
    expect(own.name).toContain('on code');
    const short = usualAcceptance(drafter, 'code', 32);
    expect(expectedTokens(short, 8)).toBeLessThan(expectedTokens(own, 8));
    expect(usualAcceptance(drafter, 'code', 64).byPosition[0]).toBeCloseTo(
      (short.byPosition[0] + own.byPosition[0]) / 2,
    );
    expect(usualAcceptance(drafter, 'code', 8)).toEqual(short);
    for (const rate of [...own.byPosition, ...mean.byPosition]) expect(rate).toBeGreaterThan(0);
  }
});
