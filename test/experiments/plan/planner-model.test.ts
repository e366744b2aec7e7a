import { expectedTokens, type Span } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { evaluatePlanner, meanTaskTimes, plannerFormulas } from '../../../experiments/src/plan/index.js';
import { openPaper } from '../../../experiments/src/reproduce/paper.js';

const times = {
  attention: 0.4,
  transfer: 0.3,
  ffn: 0.02,
  draftFirst: 0.5,
  draftStep: 0.1,
  prefillLayer: 0.35,
};
const inputs = { N: 33, L: 32, B: 256, B_prefill: 80, B_draft: 10, c: 6, p: 0.8, times };

describe("the released planner's model", () => {
  it('is what its formulas say', () => {
    const tokens = expectedTokens({ kind: 'rates', name: '', byPosition: [0.8] }, 6);
    const [prefill, draft, target] = [4 * 32 * 0.35, 26 * (0.5 + 5 * 0.1), 32 * (0.4 + 0.02)];
    const values = evaluatePlanner(inputs);
    expect(values.E).toBeCloseTo(tokens, 12);
    expect(values.t_prefill).toBeCloseTo(prefill, 12);
    expect(values.t_draft).toBeCloseTo(draft, 12);
    expect(values.t_target).toBeCloseTo(target, 12);
    expect(values.t_round).toBe(Math.max(draft, target));
    expect(values.throughput).toBeCloseTo((256 * 33) / (prefill + (32 / tokens) * draft), 10);
  });

  it('has a value for every formula, and none twice', () => {
    const names = plannerFormulas.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(Object.keys(evaluatePlanner(inputs))).toEqual(names);
  });
});

describe('mean task times', () => {
  it("are a predicted run's own: with them the formulas come near its rounds, and never above", async () => {
    const { request, result } = await (await openPaper()).predictRun({
      ...{ system: 'SpecOffload', model: 'Mixtral 8x7B', environment: 'env1', dataset: 'HumanEval' },
      generationLength: 16,
    });
    const { spans, phases, policy } = result;
    const own = meanTaskTimes(spans, request.target, policy.candidates);
    const layers = request.target.layers.length;
    const totalOf = (kind: Span['kind'], phase: Span['phase']) =>
      spans
        .filter((span) => span.kind === kind && span.phase === phase && span.pass >= 0)
        .reduce((sum, { startSeconds, endSeconds }) => sum + endSeconds - startSeconds, 0);
    const heads = spans.filter(({ kind, phase }) => kind === 'head' && phase === 'decode').length;
    expect(own.attention * layers * heads).toBeCloseTo(totalOf('attention', 'decode'), 6);
    const { t_round: round } = evaluatePlanner({
      ...{ N: 16, L: layers, B: policy.decodeBatch, B_prefill: policy.prefillBatch },
      ...{ B_draft: policy.draftBatch, c: policy.candidates, p: 0.8, times: own },
    });
    const simulated = phases.decode.seconds / heads;
    expect(round!).toBeLessThan(simulated);
    expect(round!).toBeGreaterThan(simulated / 2.5);
  });

  it('are refused for a run of another kind', async () => {
    const { request, result } = await (await openPaper()).predictRun({
      ...{ system: 'FlexGen', model: 'Mixtral 8x7B', environment: 'env1', dataset: 'HumanEval' },
      generationLength: 2,
    });
    expect(() => meanTaskTimes(result.spans, request.target, 4)).toThrow(
      'the run has no attention on the host; expected one that speculates and decodes',
    );
  });
});

describe('a published run', () => {
  it('comes with what the paper has for it, or with nothing', async () => {
    const asked = {
      system: 'SpecOffload',
      model: 'Mixtral 8x7B',
      environment: 'env1',
      dataset: 'HumanEval',
    } as const;
    const known = await (await openPaper()).predictRun({ ...asked, generationLength: 16 });
    expect(known.published).toBeGreaterThan(0);
    expect(known.tokensPerSecond / known.published!).toBeGreaterThan(0.7);
    expect(known.tokensPerSecond / known.published!).toBeLessThan(1.4);
    expect((await (await openPaper()).predictRun({ ...asked, generationLength: 3 })).published).toBeNull();
  });
});
