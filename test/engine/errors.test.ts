import { rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import {
  type Checkpoint,
  createRandom,
  loadReferenceWeights,
  type ModelSummary,
  openCheckpoint,
  type RunRequest,
  referenceGreedy,
  runEngine,
  runLogits,
} from '@specoffload/engine';
import { beforeAll, describe, expect, it } from 'vitest';
import { type ChildRequest, runChild } from './child.js';
import { drawPrompts } from './draw.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { goldenDirectory } from './model/golden.js';
import { writeTinyModel } from './tiny.js';

const config: ModelSummary = {
  ...{ architecture: 'mixtral', vocabSize: 50, hiddenSize: 32, numLayers: 3, numHeads: 4, numKvHeads: 2 },
  ...{ headDim: 8, ffnSize: 48, numExperts: 4, expertsPerToken: 2, slidingWindow: null, ropeTheta: 1e4 },
  ...{ ropeScaling: null, rmsNormEps: 1e-5, tieEmbeddings: false, maxPositions: 40, eosTokenIds: [] },
};
const directory = createTemporaryDirectory();
const machine = { deviceBytes: 4e6, hostBytes: 4e6 };
const policy = { pinnedLayers: 0, keptLayers: 0, prefetchDepth: 1 };

let target: Checkpoint;
let numModels = 0;

/** A model of its own, for tests that break files. */
function writeModel(changes: Partial<ModelSummary> = {}): Promise<Checkpoint> {
  numModels += 1;
  return writeTinyModel(
    directory,
    `model-${numModels}`,
    { ...config, ...changes },
    { dtype: 'bf16', seed: 7 },
  );
}

function request(changes: Partial<RunRequest> = {}): RunRequest {
  const prompts = drawPrompts(createRandom(5), 3, 9, config.vocabSize);
  return { target, draft: null, prompts, strategy: 'none', maxNewTokens: 8, machine, policy, ...changes };
}

/** The engine works in this process, whatever has failed in it before. */
async function expectStillWorking(): Promise<void> {
  const weights = await loadReferenceWeights(target);
  const { sequences } = await runEngine(request());
  const expected = request().prompts.map((prompt) => referenceGreedy(weights, prompt, 8).ids);
  expect(sequences.map(({ ids }) => ids)).toEqual(expected);
}

beforeAll(async () => {
  target = await writeModel();
});

describe('requests that cannot be served', () => {
  it.each<{ title: string; changes: Partial<RunRequest>; message: string }>([
    { title: 'no prompts', changes: { prompts: [] }, message: 'there are no prompts; give at least one' },
    {
      title: 'an empty prompt',
      changes: { prompts: [[1], []] },
      message: 'prompt 2 is empty; expected at least one token',
    },
    {
      title: 'a prompt longer than the context',
      changes: { prompts: [[1], Array(33).fill(1)] },
      message:
        'prompt 2 has 33 tokens and 8 new ones were asked for, but the context of model-1 is 40 tokens; shorten the prompt or ask for fewer new tokens',
    },
    {
      title: 'an id beyond the vocabulary',
      changes: { prompts: [[1, 50]] },
      message: "prompt 1 contains token 50; expected ids from 0 to 49 of model-1's vocabulary",
    },
    {
      title: 'a negative id',
      changes: { prompts: [[-1]] },
      message: 'prompt 1 contains token -1; expected ids',
    },
    {
      title: 'half an id',
      changes: { prompts: [[1.5]] },
      message: 'prompt 1 contains token 1.5; expected ids',
    },
    {
      title: 'no new tokens',
      changes: { maxNewTokens: 0 },
      message: 'invalid number of new tokens: 0; expected a whole number from 1',
    },
    {
      title: 'NaN new tokens',
      changes: { maxNewTokens: Number.NaN },
      message: 'invalid number of new tokens: NaN; expected',
    },
    {
      title: 'a strategy without its draft',
      changes: { strategy: 'serial' },
      message: 'the strategy serial needs a draft model; give one, or use strategy none',
    },
    {
      title: 'an unknown strategy',
      changes: { strategy: 'fast' as 'none' },
      message: 'unknown strategy: "fast"; expected one of none, serial, specoffload',
    },
    {
      title: 'a policy field out of range',
      changes: { policy: { candidates: 0 } },
      message: 'invalid candidates: 0; expected a whole number from 1 to 64',
    },
    {
      title: 'a device budget too small',
      changes: { machine: { ...machine, deviceBytes: 2 ** 16 } },
      message: 'the device memory budget of 0.07 MB is too small: this run needs',
    },
    {
      title: 'a host budget too small',
      changes: { machine: { ...machine, hostBytes: 2 ** 17 } },
      message: 'the host memory budget of 0.14 MB is too small: this run needs',
    },
  ])('$title: says so in one sentence', async ({ changes, message }) => {
    const failure = runEngine(request(changes));
    await expect(failure).rejects.toThrow(message);
    await expect(failure).rejects.toMatchObject({ name: 'UserError' });
    await expect(failure).rejects.not.toThrow('\n');
  });

  it('a draft of another vocabulary: says so, whichever is larger', async () => {
    for (const vocabSize of [20, 80]) {
      const draft = await writeModel({ vocabSize });
      const failure = runEngine(request({ draft, strategy: 'serial' }));
      await expect(failure).rejects.toThrow(/vocabular/);
      await expect(failure).rejects.toMatchObject({ name: 'UserError' });
    }
  });

  it('a draft whose context is shorter: names the draft', async () => {
    const draft = await writeModel({ maxPositions: 10 });
    const failure = runEngine(request({ draft, strategy: 'specoffload', prompts: [[1, 2, 3]] }));
    await expect(failure).rejects.toThrow(`the context of ${draft.name} is 10 tokens`);
  });

  it('logits of a prompt that is refused: as for a run', async () => {
    await expect(runLogits({ target, prompts: [[]], machine })).rejects.toThrow('prompt 1 is empty');
    // Logits add no token, so a prompt may fill the context to the last position.
    const [full] = await runLogits({ target, prompts: [Array(40).fill(1)], machine });
    expect(full).toHaveLength(50);
    await expect(runLogits({ target, prompts: [Array(41).fill(1)], machine })).rejects.toThrow(
      'the context of',
    );
  });
});

describe('aborting', () => {
  it.each([1, 4])('after %i passes rejects with the reason itself', async (passes) => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const run = runEngine(
      request({
        signal: controller.signal,
        onProgress: (progress) => {
          if (progress.passes === passes) controller.abort(reason);
        },
      }),
    );
    await expect(run).rejects.toBe(reason);
    await expectStillWorking();
  });

  it('while drafting and verifying at once rejects with the reason itself', async () => {
    const controller = new AbortController();
    const reason = new DOMException('enough', 'AbortError');
    const draft = await writeModel();
    const run = runEngine(
      request({
        ...{ draft, strategy: 'specoffload', signal: controller.signal },
        onProgress: ({ phase }) => {
          if (phase === 'decode') setTimeout(() => controller.abort(reason), 2);
        },
        maxNewTokens: 30,
        machine: { ...machine, caps: { diskBytesPerSecond: 1e6 } },
      }),
    );
    await expect(run).rejects.toBe(reason);
  });

  it('before the start runs nothing', async () => {
    const reason = new Error('no');
    await expect(runEngine(request({ signal: AbortSignal.abort(reason) }))).rejects.toBe(reason);
  });

  it('leaves nothing behind that keeps a process alive, and so does a run that ends', async () => {
    const golden = goldenDirectory('mixtral');
    const child: ChildRequest = {
      ...{
        target: golden,
        draft: golden,
        prompts: [[1, 2, 3], [4]],
        strategy: 'specoffload',
        maxNewTokens: 8,
      },
      ...{
        machine: { deviceBytes: 16e6, hostBytes: 16e6 },
        policy: { pinnedLayers: 0, keptLayers: 0, candidates: 1 },
      },
    };
    const aborted = await runChild({ ...child, abortAfterPasses: 3 }, 60_000);
    expect(aborted).toMatchObject({ code: 0, signal: null, reply: { error: 'enough' } });
    const finished = await runChild(child, 60_000);
    expect(finished).toMatchObject({ code: 0, signal: null, reply: { newTokens: 16 } });
  });
});

describe('files that change after they were opened', () => {
  const weightsOf = (checkpoint: Checkpoint) => join(checkpoint.directory, 'model.safetensors');

  it('cut short before the run: rejects with the path', async () => {
    const broken = await writeModel();
    truncateSync(weightsOf(broken), Math.floor(statSync(weightsOf(broken)).size / 2));
    await expect(runEngine(request({ target: broken }))).rejects.toThrow(weightsOf(broken));
    await expectStillWorking();
  });

  it('cut short during the run: rejects with the path', async () => {
    const broken = await writeModel();
    const run = runEngine(
      request({
        target: broken,
        onProgress: ({ passes }) => {
          if (passes === 2) truncateSync(weightsOf(broken), 8192);
        },
      }),
    );
    await expect(run).rejects.toThrow(weightsOf(broken));
    await expectStillWorking();
  });

  it.each(['native', 'twin'] as const)(
    'removed before the run (%s): rejects with the path',
    async (native) => {
      const broken = await writeModel();
      rmSync(weightsOf(broken));
      const run = runEngine(request({ target: broken, machine: { ...machine, native } }));
      await expect(run).rejects.toThrow(weightsOf(broken));
      await expectStillWorking();
    },
  );

  it('a draft cut short: rejects with its path', async () => {
    const draft = await writeModel();
    truncateSync(weightsOf(draft), 8192);
    await expect(runEngine(request({ draft, strategy: 'serial' }))).rejects.toThrow(weightsOf(draft));
  });
});

it('two runs side by side do not disturb each other', async () => {
  await Promise.all([expectStillWorking(), expectStillWorking()]);
  expect((await openCheckpoint(target.directory)).digest).toBe(target.digest);
});
