import { loadNativeCore } from '@specoffload/native';
import { describe, expect, test } from 'vitest';
import { PoolLayout, PoolMemory } from '../../engine/dist/machine/pool.js';

const gibibyte = 2 ** 30;

describe('pools of several arenas', () => {
  test('nothing straddles two arenas, and what is skipped costs nothing', () => {
    const layout = new PoolLayout('host');
    const first = layout.place('first', 3 * gibibyte);
    const second = layout.place('second', 3 * gibibyte);
    const third = layout.place('third', 4096);
    expect([first.byteOffset, second.byteOffset, third.byteOffset]).toEqual([0, 4 * gibibyte, 7 * gibibyte]);
    expect(layout.totalBytes).toBe(6 * gibibyte + 4096);
    expect(layout.banks).toEqual([3 * gibibyte, 3 * gibibyte + 4096]);
  });

  test('of two plans in one place the larger counts, with what it skips', () => {
    const layout = new PoolLayout('device', 8192);
    layout.overlay(
      () => layout.place('large', 4096),
      () => {
        layout.place('small', 4096);
        layout.place('other', 8192);
      },
    );
    layout.place('last', 4096);
    expect(layout.banks).toEqual([4096, 8192, 4096]);
    expect(layout.totalBytes).toBe(16_384);
  });

  test('what is placed counts as what its memory is handed out in', () => {
    const layout = new PoolLayout('device', Number.POSITIVE_INFINITY, 2 ** 20);
    expect(layout.place('a', 5000)).toEqual({ byteOffset: 0, byteLength: 5000 });
    expect(layout.place('b', 2 ** 20 + 1).byteOffset).toBe(2 ** 20);
    expect(layout.totalBytes).toBe(3 * 2 ** 20);
  });

  test('addresses past 4 GiB reach memory that another holder sees', () => {
    const core = loadNativeCore('native');
    const layout = new PoolLayout('device');
    layout.place('unused', 3 * gibibyte);
    const region = layout.place('used', 2 * gibibyte);
    const memory = PoolMemory.create(core, layout);
    const opened = PoolMemory.open(core, memory.handles);
    memory.floats(region.byteOffset + 4096, 3).set([1, 2, 3]);
    expect([...opened.floats(region.byteOffset + 4100, 2)]).toEqual([2, 3]);
    expect(opened.locate(region.byteOffset + 8)).toMatchObject({ offset: 8 });
    opened.release();
    memory.release();
  });

  test('a thing larger than an arena is refused with its name', () => {
    const layout = new PoolLayout('host');
    expect(() => layout.place('KV cache', 5 * gibibyte)).toThrow(
      /^KV cache would take 5369 MB of host memory in one piece, at most 4295 MB/,
    );
  });
});
