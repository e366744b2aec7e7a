import {
  type Checkpoint,
  memoryOverTime,
  openCheckpoint,
  type PolicyInput,
  parseChromeTrace,
  type Rounds,
  type RunProgress,
  type RunRequest,
  type RunResult,
  runEngine,
  Sequence,
  type Span,
  type StrategyName,
  strategies,
  summarise,
  toChromeTrace,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { goldenDirectory, readGolden } from './model/golden.js';

describe('the order of proposing and verifying', () => {
  /** Rounds without models: verifying batch b brings every unfinished sequence `tokensPerRound[b]` tokens. */
  function record(
    strategy: StrategyName,
    lengths: readonly (readonly number[])[],
    tokensPerRound = [2, 2],
    join: (batches: Sequence[][]) => boolean = () => false,
  ) {
    const batches = lengths.map((members) =>
      members.map((length, index) => new Sequence(index, [1], length)),
    );
    const moves: string[] = [];
    const move = async (name: string, work = () => {}) => {
      moves.push(`${name} begins`);
      await Promise.resolve();
      work();
      moves.push(`${name} ends`);
    };
    const rounds: Rounds = {
      batches,
      join: () => join(batches),
      propose: (batch) => move(`propose ${batch}`),
      proposeAhead: (batch) => move(`propose ahead ${batch}`),
      verify: (batch) =>
        move(`verify ${batch}`, () => {
          const choices = Array.from({ length: tokensPerRound[batch] }, () => ({
            ...{ id: 1, margin: 1, routerMargin: 1 },
          }));
          for (const sequence of batches[batch]) sequence.append(choices, { eosTokenIds: new Set() });
        }),
    };
    const [decode] = Object.values(strategies[strategy].orders);
    return decode!(rounds).then(() => {
      expect(batches.flat().every(({ isFinished }) => isFinished)).toBe(true);
      return moves;
    });
  }

  const begins = (moves: readonly string[]) =>
    moves.filter((move) => move.endsWith('begins')).map((move) => move.slice(0, -' begins'.length));

  it('of none: verify until all have ended', async () => {
    expect(begins(await record('none', [[2, 6]]))).toEqual(['verify 0', 'verify 0', 'verify 0']);
    expect(begins(await record('none', [[2], [4]]))).toEqual(['verify 0', 'verify 1', 'verify 1']);
  });

  it('of serial: propose, and only then verify', async () => {
    expect(await record('serial', [[4]])).toEqual(
      Array.from({ length: 2 }, () => [
        ...['propose 0 begins', 'propose 0 ends', 'verify 0 begins', 'verify 0 ends'],
      ]).flat(),
    );
  });

  it('of ahead: where nothing was prepared propose, then verify all and prepare meanwhile', async () => {
    expect(begins(await record('ahead', [[4, 4]]))).toEqual(
      Array.from({ length: 2 }, () => ['propose 0', 'verify 0', 'propose ahead 0']).flat(),
    );
  });

  it('of specoffload: one batch is verified while the draft proposes for the other', async () => {
    expect(await record('specoffload', [[4], [4]])).toEqual([
      ...['propose 0 begins', 'propose 0 ends'],
      ...['verify 0 begins', 'propose 1 begins', 'verify 0 ends', 'propose 1 ends'],
      ...['verify 1 begins', 'propose 0 begins', 'verify 1 ends', 'propose 0 ends'],
      ...['verify 0 begins', 'propose 1 begins', 'verify 0 ends', 'propose 1 ends'],
      ...['verify 1 begins', 'propose 0 begins', 'verify 1 ends', 'propose 0 ends'],
    ]);
  });

  it('of specoffload whose batches join: the rest in passes of its own, one for all', async () => {
    let rounds = 0;
    const moves = await record('specoffload', [[6], [6]], [2, 2], (batches) => {
      rounds += 1;
      if (rounds < 2) return false;
      batches[0].push(...batches[1].splice(0));
      return true;
    });
    expect(begins(moves)).toEqual([
      ...['propose 0', 'verify 0', 'propose 1', 'verify 1', 'propose 0'],
      ...['propose 0', 'verify 0', 'propose 0', 'verify 0'],
    ]);
  });

  it('of specoffload with one batch: as serial', async () => {
    const moves = begins(await record('specoffload', [[4]]));
    expect(moves.slice(0, 4)).toEqual(['propose 0', 'verify 0', 'propose 0', 'verify 0']);
  });

  it.each<[number[][], number[]]>([
    [
      [[9], [1]],
      [1, 5],
    ],
    [
      [[1], [9]],
      [5, 1],
    ],
    [
      [[3, 8], [5]],
      [2, 1],
    ],
  ])('of specoffload ends when batches do not end together, %j', async (lengths, tokensPerRound) => {
    const moves = begins(await record('specoffload', lengths, tokensPerRound));
    expect(moves.length).toBeLessThan(60);
  });
});

describe('a run', () => {
  let target: Checkpoint;
  let draft: Checkpoint;
  const prompts = readGolden('mixtral').prompts.map(({ ids }) => ids);
  const promptRows = prompts.flat().length;

  beforeAll(async () => {
    target = await openCheckpoint(goldenDirectory('mixtral'));
    draft = await openCheckpoint(goldenDirectory('mistral-full'));
  });

  function run(strategy: StrategyName, policy: PolicyInput = {}, changes: Partial<RunRequest> = {}) {
    return runEngine({
      ...{ target, draft, prompts, strategy, maxNewTokens: 8 },
      machine: { deviceBytes: 16e6, hostBytes: 16e6 },
      policy: { pinnedLayers: 0, keptLayers: 0, ...policy },
      ...changes,
    });
  }

  const spansOf = ({ spans }: RunResult, kind: Span['kind']) => spans.filter((span) => span.kind === kind);
  const overlap = (a: Span, b: Span) => a.startSeconds < b.endSeconds && b.startSeconds < a.endSeconds;

  it('leaves a trace in which lanes that do one thing at a time never do two', async () => {
    const result = await run('specoffload', { candidates: 3 });
    const { spans, phases } = result;
    for (const [i, span] of spans.entries()) {
      expect(span.startSeconds).toBeGreaterThanOrEqual(spans[i - 1]?.startSeconds ?? 0); // ordered by start
      expect(span.endSeconds).toBeGreaterThanOrEqual(span.startSeconds);
      expect(span.readySeconds).toBeLessThanOrEqual(span.startSeconds);
    }
    for (const lane of ['link', 'host', 'device'] as const) {
      const own = spans.filter((span) => span.lane === lane && span.kind !== 'draft');
      for (const [i, span] of own.entries())
        if (i > 0) expect(overlap(own[i - 1], span), `${own[i - 1].name}, ${span.name}`).toBe(false);
    }
    // A draft step lets other work in between its layers, and no other draft step.
    const onDevice = spans.filter(({ lane }) => lane === 'device');
    for (const draft of spansOf(result, 'draft'))
      for (const other of onDevice.filter((span) => span !== draft && overlap(draft, span))) {
        expect(other.kind, `${other.name} in ${draft.name}`).not.toBe('draft');
        expect(other.startSeconds).toBeGreaterThanOrEqual(draft.startSeconds);
        expect(other.endSeconds).toBeLessThanOrEqual(draft.endSeconds);
      }
    for (const { lanes } of Object.values(phases))
      for (const { utilization } of Object.values(lanes)) {
        expect(utilization).toBeGreaterThanOrEqual(0);
        expect(utilization).toBeLessThanOrEqual(1);
      }
    expect(new Set(spans.map(({ id }) => id)).size).toBe(spans.length);
    const numPasses = new Set(spansOf(result, 'head').map(({ pass }) => pass)).size;
    expect(numPasses).toBe(result.passes);
  });

  it('says where the idle time of the device went, and what its memory held when', async () => {
    // Paced reads: the device waits for weights, and for little else.
    const machine = { deviceBytes: 16e6, hostBytes: 16e6, caps: { diskBytesPerSecond: 2e6 } };
    const { phases, spans, memoryLog, memory } = await run('none', {}, { machine, maxNewTokens: 4 });
    for (const { seconds, lanes, deviceIdle } of Object.values(phases)) {
      const idleSeconds = Object.values(deviceIdle).reduce((sum, part) => sum + part, 0);
      expect(idleSeconds).toBeCloseTo(seconds - lanes.device.busySeconds, 9);
      expect(deviceIdle.draft).toBe(0);
    }
    const { weights, attention, nothing } = phases.decode.deviceIdle;
    expect(weights).toBeGreaterThan(attention + nothing);
    const overTime = memoryOverTime(memoryLog);
    for (const pool of ['device', 'host'] as const) {
      const peakBytes = Math.max(...overTime[pool].map(({ bytes }) => bytes));
      expect(peakBytes).toBeLessThanOrEqual(memory[pool].peakBytes);
      // Weights come and go.
      expect(peakBytes).toBeGreaterThan(Math.min(...overTime[pool].map(({ bytes }) => bytes)));
    }
    const trace = parseChromeTrace(JSON.parse(JSON.stringify(toChromeTrace(spans, overTime))));
    expect(trace.spans.map(({ id, waitedFor }) => [id, waitedFor])).toEqual(
      spans.map(({ id, waitedFor }) => [id, waitedFor]),
    );
    expect(trace.memory.device).toHaveLength(overTime.device.length);
  });

  it('of specoffload drafts for one batch during the pass that verifies the other', async () => {
    // Paced reads stretch every pass to what it is on a large model, so that there is idle time to use.
    const machine = { deviceBytes: 16e6, hostBytes: 16e6, caps: { diskBytesPerSecond: 20e6 } };
    const result = await run('specoffload', { candidates: 2 }, { machine });
    const drafts = spansOf(result, 'draft');
    const heads = spansOf(result, 'head').filter(({ phase }) => phase === 'decode');
    let during = 0;
    for (const draftStep of drafts) {
      const verifying = heads.find(({ endSeconds }) => endSeconds > draftStep.startSeconds);
      const embed = result.spans.find(({ kind, pass }) => kind === 'embed' && pass === verifying?.pass);
      if (!verifying || !embed || embed.endSeconds > draftStep.startSeconds) continue;
      during += 1;
      expect(verifying.batch, 'the batch being verified').not.toBe(draftStep.batch);
    }
    expect(during).toBeGreaterThan(drafts.length / 4);
  });

  it('reads every layer once per pass, layer-major for all micro-batches, batch-major for each', async () => {
    const once = async (prefillOrder: PolicyInput['prefillOrder']) => {
      const result = await run('none', { prefillOrder, prefillBatch: 1 }, { maxNewTokens: 1 });
      const projections = spansOf(result, 'project').filter(({ name }) => name === 'project layer.0');
      expect(projections.map(({ rows }) => rows).sort()).toEqual(prompts.map(({ length }) => length).sort());
      return result.passes;
    };
    expect(await once('layer-major')).toBe(1);
    expect(await once('batch-major')).toBe(prompts.length);
  });

  it('with a resident draft cache feeds the draft every token once; recomputing feeds whole contexts', async () => {
    const draftRows = async (draftCache: PolicyInput['draftCache']) => {
      const result = await run('serial', { draftCache, candidates: 2, draftWindow: 4 });
      return { rows: spansOf(result, 'draft').reduce((sum, { rows }) => sum + rows, 0), result };
    };
    const resident = await draftRows('resident');
    const recompute = await draftRows('recompute');
    expect(recompute.result.outputDigest).toBe(resident.result.outputDigest);
    expect(recompute.rows).toBeGreaterThan(3 * promptRows);
    expect(resident.rows).toBeLessThan(3 * promptRows);
    const window = await draftRows('window');
    expect(window.result.outputDigest).toBe(resident.result.outputDigest);
    expect(window.rows, 'of each round no more than the window').toBeLessThan(recompute.rows);
  });

  it('without speculation costs one pass per token, and a perfect draft saves the passes of what it proposes', async () => {
    expect((await run('none')).passes).toBe(8);
    const perfect = await run('serial', { candidates: 6 }, { draft: target });
    // Prefill brings the first token, verification six candidates and one of its own.
    expect(perfect.passes).toBe(2);
    expect(perfect.acceptance).toMatchObject({ rate: 1, tokensPerRound: 7 });
  });

  it('reports progress that grows to the result', async () => {
    const reports: RunProgress[] = [];
    const result = await run(
      'serial',
      { candidates: 3 },
      { onProgress: (progress) => reports.push(progress) },
    );
    expect(reports).toHaveLength(result.passes);
    for (const [i, { newTokens, elapsedSeconds, passes }] of reports.entries()) {
      expect(passes).toBe(i + 1);
      expect(newTokens).toBeGreaterThan(reports[i - 1]?.newTokens ?? 0);
      expect(elapsedSeconds).toBeGreaterThan(reports[i - 1]?.elapsedSeconds ?? 0);
    }
    expect(reports[0].phase).toBe('prefill');
    expect(reports.at(-1)).toMatchObject({
      ...{ phase: 'decode', newTokens: result.newTokens, maxNewTokens: 8 * prompts.length },
      ...{ finishedSequences: prompts.length, numSequences: prompts.length },
    });
  });

  it('rejects with what its listener throws', async () => {
    const refusal = new Error('no more');
    const onProgress = () => {
      throw refusal;
    };
    await expect(run('specoffload', {}, { onProgress })).rejects.toBe(refusal);
  });

  it('writes the same twice, and paced lanes change nothing but the time', async () => {
    const free = await run('specoffload', { candidates: 3 });
    const machine = {
      deviceBytes: 16e6,
      hostBytes: 16e6,
      caps: { diskBytesPerSecond: 30e6, linkBytesPerSecond: 20e6 },
    };
    const paced = await run('specoffload', { candidates: 3 }, { machine });
    expect(paced.outputDigest).toBe(free.outputDigest);
    expect(paced.passes).toBe(free.passes);
    for (const [lane, cap] of [
      ['disk', 30e6],
      ['link', 20e6],
    ] as const) {
      const { bytes, busySeconds } = paced.phases.decode.lanes[lane];
      expect(bytes / busySeconds, lane).toBeLessThan(cap * 1.1);
    }
  });

  it("writes the same however slowly the host's attention may read its cache, and takes as long as that lets it", async () => {
    const paced = (hostCacheBytesPerSecond: number) =>
      run(
        'specoffload',
        { candidates: 3 },
        { machine: { deviceBytes: 16e6, hostBytes: 16e6, caps: { hostCacheBytesPerSecond } } },
      );
    const [free, once, twice] = [
      await run('specoffload', { candidates: 3 }),
      await paced(1e6),
      await paced(5e5),
    ];
    expect([once.outputDigest, twice.outputDigest]).toEqual([free.outputDigest, free.outputDigest]);
    const busy = ({ phases }: RunResult) => phases.decode.lanes.host.busySeconds;
    expect(busy(twice) / busy(once)).toBeGreaterThan(1.6);
    expect(busy(twice) / busy(once)).toBeLessThan(2.4);
    expect(busy(once) / busy(free)).toBeGreaterThan(2);
  });

  it('writes the same however slowly the host may compute experts, which then take what their cap lets them', async () => {
    const settings = { deviceBytes: 16e6, hostBytes: 16e6 };
    const policy = { experts: 'routed', hostExpertRows: 1000, pinnedLayers: 0 } as const;
    const paced = (hostFlopsPerSecond: number) =>
      run('none', policy, { machine: { ...settings, caps: { hostFlopsPerSecond } } });
    const free = await run('none', policy, { machine: settings });
    const [once, twice] = [await paced(12e6), await paced(6e6)];
    expect([once.outputDigest, twice.outputDigest]).toEqual([free.outputDigest, free.outputDigest]);
    const busy = ({ spans }: RunResult, kind: Span['kind']) =>
      spans
        .filter((span) => span.lane === 'host' && span.kind === kind && span.flops > 0)
        .reduce((sum, { startSeconds, endSeconds }) => sum + endSeconds - startSeconds, 0);
    const flops = once.spans
      .filter(({ lane, kind }) => lane === 'host' && kind === 'expert')
      .reduce((sum, span) => sum + span.flops, 0);
    expect(flops).toBeGreaterThan(0);
    expect(busy(once, 'expert') / (flops / 12e6)).toBeGreaterThan(0.95);
    expect(busy(twice, 'expert') / busy(once, 'expert')).toBeGreaterThan(1.6);
    expect(busy(twice, 'expert') / busy(once, 'expert')).toBeLessThan(2.4);
    const read = await run('none', policy, {
      machine: { ...settings, caps: { hostWeightBytesPerSecond: 6e6 } },
    });
    const experts = read.spans.filter(
      ({ lane, kind, flops: own }) => lane === 'host' && kind === 'expert' && own > 0,
    );
    const { hiddenSize, ffnSize } = summarise(target.spec);
    const seconds = (3 * hiddenSize * ffnSize * 4) / 6e6;
    for (const { startSeconds, endSeconds } of experts)
      expect(endSeconds - startSeconds).toBeGreaterThan(0.95 * seconds);
    expect([read.outputDigest, experts.length > 0]).toEqual([free.outputDigest, true]);
    // Attention has a cap of its own.
    expect(busy(once, 'attention')).toBeLessThan(busy(once, 'expert') / 4);
  });

  it('writes the same however slow the draft, which lets the target in between and ends so much later', async () => {
    const settings = { deviceBytes: 16e6, hostBytes: 16e6 };
    const draftFlopsPerSecond = 10e6;
    const free = await run('specoffload', { candidates: 3 }, { machine: settings });
    const paced = await run(
      'specoffload',
      { candidates: 3 },
      { machine: { ...settings, caps: { draftFlopsPerSecond } } },
    );
    expect(paced.outputDigest).toBe(free.outputDigest);
    const isDraft = ({ kind, flops }: Span) => kind === 'draft' && flops > 0;
    const urgent = paced.spans.filter((span) => span.lane === 'device' && span.kind !== 'draft');
    const lengths = paced.spans.filter(isDraft).map((draft) => {
      const inside = urgent
        .map((span) => endOfBoth(span, draft) - Math.max(span.startSeconds, draft.startSeconds))
        .filter((seconds) => seconds > 0);
      return {
        capped: draft.flops / draftFlopsPerSecond,
        taken: draft.endSeconds - draft.startSeconds,
        inside: inside.reduce((sum, seconds) => sum + seconds, 0),
      };
    });
    const total = (of: (length: (typeof lengths)[number]) => number) =>
      lengths.reduce((sum, length) => sum + of(length), 0);
    // A span counts attention's operations, too, which the cap does not.
    for (const { capped, taken } of lengths) expect(taken).toBeGreaterThan(0.8 * capped);
    expect(total(({ inside }) => inside)).toBeGreaterThan(0);
    // Behind what goes in between, a step has still all of its own time before it.
    const whole = total(({ capped, inside }) => capped + inside);
    expect(total(({ taken }) => taken) / whole).toBeGreaterThan(0.85);
    expect(total(({ taken }) => taken) / whole).toBeLessThan(1.25);
  });

  it('writes the same however slowly the cache may cross the link, weights at their own rate', async () => {
    const settings = { deviceBytes: 16e6, hostBytes: 16e6 };
    const free = await run('flexgen', {}, { machine: settings });
    const paced = await run(
      'flexgen',
      {},
      { machine: { ...settings, caps: { linkCacheBytesPerSecond: 1e6 } } },
    );
    expect(paced.outputDigest).toBe(free.outputDigest);
    const rate = ({ spans }: RunResult, kind: Span['kind']) => {
      const some = spans.filter((span) => span.kind === kind);
      const seconds = some.reduce((sum, { startSeconds, endSeconds }) => sum + endSeconds - startSeconds, 0);
      return some.reduce((sum, { bytes }) => sum + bytes, 0) / seconds;
    };
    expect(rate(paced, 'fetch')).toBeLessThan(1.1e6);
    expect(rate(paced, 'upload')).toBeGreaterThan(2e6);
  });
});

function endOfBoth(a: Span, b: Span): number {
  return Math.min(a.endSeconds, b.endSeconds);
}
