/** Lanes' threads serve one run after another, and keep nothing of a run that is over. */

import { openCheckpoint, type RunRequest, runEngine } from '@specoffload/engine';
import { loadNativeCore } from '@specoffload/native';
import { expect, it } from 'vitest';
import { keepThread, takeThread } from '../../engine/dist/run/lane-threads.js';
import { goldenDirectory, readGolden } from './model/golden.js';

const lanes = ['link', 'host', 'device'] as const;

async function run(name: string, changes: Partial<RunRequest> = {}): Promise<void> {
  const target = await openCheckpoint(goldenDirectory(name));
  const [{ ids, greedy_ids }] = readGolden(name).prompts as [
    ReturnType<typeof readGolden>['prompts'][number],
  ];
  const { sequences } = await runEngine({
    ...{ target, draft: null, prompts: [ids], strategy: 'fiddler', maxNewTokens: 4 },
    ...{ machine: { deviceBytes: 16e6, hostBytes: 16e6 }, policy: { pinnedLayers: 0, keptLayers: 0 } },
    ...changes,
  });
  expect(sequences[0]?.ids).toEqual(greedy_ids.slice(0, 4));
}

async function idsOfWaiting(): Promise<number[]> {
  return Promise.all(
    lanes.map(async (lane) => {
      const thread = takeThread(lane);
      const { threadId } = thread;
      await keepThread(lane, thread);
      return threadId;
    }),
  );
}

it('serve runs of other models, policies, caps and cores', async () => {
  await run('mixtral');
  const ids = await idsOfWaiting();
  const machine = { deviceBytes: 16e6, hostBytes: 16e6 };
  await run('mistral-full', { strategy: 'none' });
  await run('mixtral', { policy: { hostExpertRows: 1000 } });
  await run('mixtral', {
    machine: { ...machine, caps: { linkBytesPerSecond: 1e8 }, hostCores: 2, deviceCores: 2 },
  });
  await run('mixtral', { machine: { ...machine, prefillCores: 2, caps: { hostFlopsPerSecond: 1e12 } } });
  await run('mixtral', { device: { kind: 'isolated' } });
  await run('mixtral');
  expect(await idsOfWaiting()).toEqual(ids);
});

it('have given the memory of their run back when it ends', async () => {
  await run('mixtral', { policy: { hostExpertRows: 1000 } });
  const core = loadNativeCore('native');
  const arena = core.createArena(4096);
  const { handle } = arena;
  if (handle.kind !== 'native') throw new Error('expected the native core');
  expect(handle.id).toBeGreaterThan(2);
  for (let id = 1; id < handle.id; id += 1)
    expect(() => core.openArena({ ...handle, id })).toThrow('some thread of this process still holds');
  arena.release();
});

it('write what they should after a run that was stopped', async () => {
  const stop = new AbortController();
  const stopped = run('mixtral', { signal: stop.signal, onProgress: () => stop.abort(new Error('enough')) });
  await expect(stopped).rejects.toThrow('enough');
  await run('mixtral');
});
