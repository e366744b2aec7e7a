/** What a search learns of the closed form: kind by kind, by how much simulations differ from it. */

import {
  Appraiser,
  Experience,
  type PlanRequest,
  type PolicyInput,
  planRun,
  predict,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { mistral, mixtral, rates, shrinkMemory, workstation } from './plan-cases.js';

const job: PlanRequest = {
  ...{ target: mixtral(4), draft: mistral(4), machine: shrinkMemory(workstation, 1 / 2) },
  ...{ acceptance: rates(0.7), maxNewTokens: 16, promptLengths: new Array<number>(64).fill(128) },
};

const appraiser = new Appraiser(job);
const appraise = (policy: PolicyInput) => {
  const appraisal = appraiser.appraise({ strategy: 'serial', policy: { speculation: 'serial', ...policy } });
  if (!appraisal) throw appraiser.refusal;
  return appraisal;
};

describe('what a policy is expected to reach', () => {
  const onHost = appraise({ candidates: 4 });
  const more = appraise({ candidates: 8 });
  const tensors = appraise({ candidates: 8, residents: 'tensors' });
  const onDevice = appraise({ candidates: 4, attention: 'device' });

  it('is what the closed form says where nothing of its kind has been simulated', () => {
    const experience = new Experience();
    experience.add(onHost, onHost.tokensPerSecond / 2);
    expect(experience.estimate(onDevice)).toEqual({
      tokensPerSecond: onDevice.tokensPerSecond,
      isOfKnownKind: false,
    });
  });

  it('is that times what the nearest one of its kind came to', () => {
    const experience = new Experience();
    experience.add(onHost, onHost.tokensPerSecond / 2);
    const { tokensPerSecond, isOfKnownKind } = experience.estimate(more);
    expect([tokensPerSecond / more.tokensPerSecond, isOfKnownKind]).toEqual([0.5, true]);
    experience.add(tensors, tensors.tokensPerSecond * 1.25);
    expect(experience.estimate(more).tokensPerSecond / more.tokensPerSecond).toBeCloseTo(1.25, 12);
    expect(experience.estimate(onHost).tokensPerSecond / onHost.tokensPerSecond).toBe(0.5);
  });

  it('decides who is next: what was misjudged once is not believed again', () => {
    const experience = new Experience();
    const better = { ...more, key: 'better', tokensPerSecond: 1.1 * onDevice.tokensPerSecond };
    expect(experience.mostPromising([onDevice, better])).toBe(better);
    experience.add(onHost, 0.8 * onHost.tokensPerSecond);
    expect(experience.mostPromising([onDevice, better])).toBe(onDevice);
  });
});

describe('a search', () => {
  it('simulates no policy that a simulated one of its kind has shown to be far behind, and finds none that is worse', async () => {
    const plan = await planRun({ ...job, numSeeds: 3 });
    const [{ strategy, input }] = plan.ranked;
    const found = (await predict(job, { strategy, policy: input })).outcome.tokensPerSecond;
    expect(plan.numSimulated).toBeLessThanOrEqual(24);
    // What it shows of each way was simulated, too: none of them is better on the seed of the search.
    for (const other of plan.bestByWay) {
      const { tokensPerSecond } = (await predict(job, { strategy: other.strategy, policy: other.input }))
        .outcome;
      expect(tokensPerSecond).toBeLessThanOrEqual(1.03 * found);
    }
  });
});
