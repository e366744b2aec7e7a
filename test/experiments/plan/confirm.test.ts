/** A measured round among finalists: what it measures, whom it drops, and when it changes the choice. */

import type { Plan, PlannedPolicy } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { confirm, describeConfirmation, finalistsOf } from '../../../experiments/src/plan/confirm.js';

function planned(name: string, tokensPerSecond: number, drafter?: string): PlannedPolicy {
  const policy = { speculation: drafter ? 'serial' : 'none', candidates: 4, experts: 'all', hostShare: 0 };
  return {
    ...{ strategy: name, policy, outcome: { tokensPerSecond } },
    ...(drafter ? { drafter } : {}),
  } as unknown as PlannedPolicy;
}

const choice = planned('serial', 10, 'model');
const other = planned('none', 8);
const poor = planned('flexgen', 6);

/** Prefill takes a second, each further token so long. */
function runs(secondsPerToken: (planned: PlannedPolicy, turn: number) => number) {
  const order: PlannedPolicy[] = [];
  const run = async (one: PlannedPolicy, newTokens: number) => {
    order.push(one);
    const seconds = (newTokens - 1) * secondsPerToken(one, order.length);
    const phases = { prefill: { seconds: 1 }, decode: { seconds } };
    return { newTokens, seconds: 1 + seconds, phases } as unknown as Awaited<
      ReturnType<Parameters<typeof confirm>[1]['run']>
    >;
  };
  return { run, order };
}

describe('a measured round', () => {
  it('takes another finalist where it is faster beyond doubt, and counts the whole job', async () => {
    const { run, order } = runs((one) => (one === other ? 0.1 : one === choice ? 0.12 : 1));
    const result = await confirm([choice, other, poor], { rounds: 3, maxNewTokens: 31, run });
    expect([result.choice, result.isChanged]).toEqual([other, true]);
    const [own, first] = result.finalists;
    expect(own.tokensPerSecond).toEqual(new Array(3).fill(31 / (1 + 30 * 0.12)));
    expect(first.overChoice.ratio).toBeCloseTo(4.6 / 4, 9);
    // What is far behind runs once, and nobody always comes first.
    expect(order.filter((one) => one === poor)).toHaveLength(1);
    expect([order[0], order[3]]).toEqual([choice, other]);
    expect(describeConfirmation(result)).toContain('is faster than the plan');
  });

  it('keeps the choice where the others are not faster in every round', async () => {
    const { run } = runs((one, turn) => (one === choice ? 0.1 : turn === 2 ? 0.13 : 0.08));
    const result = await confirm([choice, other], { rounds: 3, maxNewTokens: 16, run });
    expect([result.choice, result.isChanged]).toEqual([choice, false]);
    expect(describeConfirmation(result)).toContain("the plan's choice stands");
  });
});

it('tries the best of each who proposes before other kinds, and nothing that is predicted to be far behind', () => {
  const [alike, lookUp, slow] = [
    planned('specoffload', 9, 'model'),
    planned('serial', 7, 'self'),
    planned('x', 4),
  ];
  const alternatives = [alike, other, lookUp, slow].map((one) => ({ planned: one, differences: [] }));
  const plan = { ranked: [choice], alternatives } as unknown as Plan;
  expect(finalistsOf(plan)).toEqual([choice, other, lookUp, alike]);
});
