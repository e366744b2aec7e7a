import { prefillCoresOf } from '@specoffload/engine';
import { codecs, f32, loadNativeCore, type ProductCall } from '@specoffload/native';
import { expect, it } from 'vitest';
import { CpuQueue } from '../../engine/src/machine/cpu-queue.js';
import type { Command } from '../../engine/src/machine/device.js';
import { productOf } from '../../engine/src/machine/measure-device.js';
import { PoolLayout, PoolMemory } from '../../engine/src/machine/pool.js';
import { twin } from '../native/helpers.js';

it('computes on the cores of the phase that it is told', async () => {
  const seen: number[] = [];
  const core = { ...twin, multiply: ({ threads }: ProductCall) => void seen.push(threads) };
  const layout = new PoolLayout('device');
  const [norm, x, out] = [32, 32, 8].map((count) => layout.place('values', f32.bytes(count)).byteOffset);
  const head = layout.place('values', codecs.q8_0.bytes(8 * 32)).byteOffset;
  const memory = PoolMemory.create(core, layout);
  const models = { target: productOf(8, 32), draft: null };
  const queue = await CpuQueue.create({
    ...{ core, device: memory, host: PoolMemory.create(core, new PoolLayout('host')), models },
    ...{ threads: 1, prefillThreads: 3 },
  });
  const weights = {
    finalNorm: { address: norm, dtype: 'f32' },
    head: { address: head, dtype: 'q8_0' },
  } as const;
  const logits: Command = { kind: 'logits', model: 'target', x, rows: 1, out, weights };
  await queue.submit([logits]);
  queue.enter('prefill');
  await queue.submit([logits]);
  queue.enter('decode');
  await queue.submit([logits]);
  await queue.close();
  expect(seen).toEqual([1, 3, 1]);
});

it('reads prompts on as many cores as are said, or on all', () => {
  const all = loadNativeCore('auto').probe().allowedCores.length;
  expect(prefillCoresOf({})).toBe(1);
  expect(prefillCoresOf({ deviceCores: 3 })).toBe(3);
  expect(prefillCoresOf({ deviceCores: 1, prefillCores: 2 })).toBe(2);
  expect(prefillCoresOf({ prefillCores: 'idle' })).toBe(all);
  expect(prefillCoresOf({ deviceCores: all + 1, prefillCores: 'idle' })).toBe(all + 1);
});
