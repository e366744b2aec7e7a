/** What a Vulkan device's queues take of host memory: planned, and never more, whatever travels with commands. */

import { openCheckpoint } from '@specoffload/engine';
import { f32, queueRings, spaces } from '@specoffload/native';
import { describe, expect, it } from 'vitest';
import { localFormats, vulkanFormats } from '../../engine/dist/machine/formats.js';
import { OperationList } from '../../engine/dist/machine/vulkan-list.js';
import { planMemory } from '../../engine/dist/schedule/placement.js';
import { measureDemand, planWaves, resolvePolicy } from '../../engine/dist/schedule/resolve.js';
import { strategyNamed } from '../../engine/dist/schedule/strategies/index.js';
import { goldenDirectory } from './model/golden.js';

describe('an operation list', () => {
  const values = Float32Array.from({ length: 700_001 }, (_, i) => i);

  it('exchanges no more at once than rings are made for, and loses nothing', () => {
    const list = new OperationList();
    list.begin();
    list.bring(values.length, 64, (first, count) => values.subarray(first, first + count));
    list.begin();
    let answered = new Float32Array();
    list.read(64, values.length, (all) => {
      answered = Float32Array.from(all);
    });
    expect(list.parts.length).toBeGreaterThan(5);
    // As a device would: what a part is handed lies where it says, and it answers with what lies there.
    const memory = new Uint8Array(64 + f32.bytes(values.length));
    const answers = list.parts.map((part) => {
      expect(part.exchangedBytes).toBeLessThanOrEqual(queueRings.exchangeBytes / 2);
      const [numbers, data] = [part.encode(() => 0), part.encodeData()];
      const answer = new Uint8Array(part.answerBytes);
      for (let at = 0; at < numbers.length; at += 4) {
        expect(numbers[at]).toBe(1);
        const [from, to, bytes] = numbers.subarray(at + 1, at + 4);
        if (from! >= spaces.data)
          memory.set(data.subarray(from! - spaces.data, from! - spaces.data + bytes!), to);
        else answer.set(memory.subarray(from, from! + bytes!), to! - spaces.answers);
      }
      return answer.buffer;
    });
    list.answersIn(answers);
    expect(answered).toEqual(values);
  });

  it('keeps small commands together', () => {
    const list = new OperationList();
    for (let turn = 0; turn < 100; turn += 1) {
      list.begin();
      list.data(new Float32Array(4));
      list.read(0, 4, () => {});
    }
    expect(list.parts).toHaveLength(1);
  });
});

describe('the memory plan', () => {
  const planned = async (model: string, formats = vulkanFormats) => {
    const target = await openCheckpoint(goldenDirectory(model));
    const policy = resolvePolicy(strategyNamed('none'), {}, 1);
    const demand = measureDemand(policy, planWaves(policy, 1), [3], 2, formats);
    const { pools } = planMemory(
      target,
      null,
      demand,
      { deviceBytes: 1e12, hostBytes: 1e12 },
      policy,
      formats,
    );
    return pools.host!.bytesOf('device queues');
  };
  const rings = 2 * (queueRings.exchangeBytes + queueRings.stagingBytes);

  it("counts the queues' rings, and what is decoded on its way where no kernel reads it", async () => {
    expect(await planned('mixtral')).toBe(rings);
    expect(await planned('gpt-oss')).toBeGreaterThan(rings);
    expect(await planned('mixtral', localFormats)).toBe(0);
  });
});
