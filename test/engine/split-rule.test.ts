/** APEX's rule in its limits, its worked example, and what a machine makes of its decisions. */

import {
  decideStep,
  describeCatalogModel,
  type LayerTimes,
  type PolicyInput,
  type SimulationResult,
  simulateRun,
  subBatchesPay,
  withLane,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { openMachine } from '../../experiments/src/inputs/machines.js';

/** Of decoding alone: by T_lin / T_att, and N_G / N_C. */
function pays(linear: number, ratio: number, promptRows = 0): boolean {
  const times: LayerTimes = {
    linearSeconds: linear,
    devicePerSequence: 1 / 8,
    hostPerSequence: ratio / 8,
    secondsPerRow: 0.01,
  };
  return subBatchesPay(times, { numOnDevice: 8, promptRows });
}

describe('the inequality', () => {
  it.each([0.5, 1, 2, 7])('is as printed for decoding alone, with T_lin / T_att %d', (linear) => {
    const bound = 2 * linear + 3 + 1 / linear;
    expect(pays(linear, bound * 0.999)).toBe(true);
    expect(pays(linear, bound * 1.001)).toBe(false);
  });

  it('asks for 13 % of the device, as the worked example says', () => {
    expect([pays(2, 1 / 0.134), pays(2, 1 / 0.132)]).toEqual([true, false]);
  });

  it('always holds beside an endless attention, or none, and never beside a host that stands still', () => {
    expect([pays(1e-9, 1e6), pays(1e9, 1e6)]).toEqual([true, true]);
    expect(pays(2, Number.POSITIVE_INFINITY)).toBe(false);
    expect(pays(2, 0)).toBe(true);
  });

  it('is easier where prompts make the device take longer', () => {
    const bound = 2 * 2 + 3 + 1 / 2;
    expect([pays(2, bound * 1.2), pays(2, bound * 1.2, 100)]).toEqual([false, true]);
  });
});

describe('a step', () => {
  const times = { linearSeconds: 2, devicePerSequence: 1 / 8, hostPerSequence: 1 / 8, secondsPerRow: 0 };
  const both = { numOnDevice: 8, numOnHost: 4, isHostBusy: false, promptRows: 0 };
  it.each([
    ['none on the host', { ...both, numOnHost: 0 }, times, 'device-only'],
    ['fewer than asked for', { ...both, numOnHost: 2 }, times, 'device-only'],
    ['none left on the device', { ...both, numOnDevice: 0, numOnHost: 1 }, times, 'asynchronous'],
    ['a pass of the host under way', { ...both, numOnHost: 0, isHostBusy: true }, times, 'asynchronous'],
    ['nothing seen yet', both, null, 'asynchronous'],
    ['a fast host', both, times, 'sub-batches'],
    ['a slow host', both, { ...times, hostPerSequence: 2 }, 'asynchronous'],
  ] as const)('with %s', (_, situation, seen, decision) => {
    expect(decideStep('by-rule', 3, situation, seen)).toBe(decision);
  });

  it('follows no rule where none is asked for', () => {
    expect(decideStep('asynchronous', 1, both, times)).toBe('asynchronous');
  });
});

describe('on the T4 of the paper', () => {
  const target = describeCatalogModel('llama-2-7b');
  const simulate = async (policy: PolicyInput, numPrompts: number, hostBytesPerSecond?: number) => {
    const machine = await openMachine('t4-apex');
    const job = { target, draft: null, promptLengths: new Array(numPrompts).fill(256), maxNewTokens: 16 };
    const rate = { cacheBytesPerSecond: hostBytesPerSecond };
    return simulateRun({
      ...{ ...job, strategy: 'apex' },
      policy: { prefetchDepth: 0, prefillOrder: 'batch-major', prefillBatch: 4, microBatch: 4, ...policy },
      machine: hostBytesPerSecond ? withLane(machine, 'host', rate) : machine,
    });
  };
  /** By the time that the device's own sequences have been written. */
  const rateOf = ({ spans, phases }: SimulationResult) => {
    const heads = spans.filter(({ kind, phase }) => kind === 'head' && phase === 'decode');
    const own = new Set(
      spans.flatMap(({ kind, lane, pass }) => (kind === 'attention' && lane === 'device' ? [pass] : [])),
    );
    const end = Math.max(...heads.filter(({ pass }) => own.has(pass)).map(({ endSeconds }) => endSeconds));
    const written = heads.filter(({ endSeconds }) => endSeconds <= end);
    return written.reduce((sum, { rows }) => sum + rows, 0) / (end - phases.prefill.seconds);
  };

  it('is ahead of the device alone, most where parts need not wait for each other', async () => {
    const alone = rateOf(await simulate({ decodeBatch: 4, overlap: 'asynchronous' }, 4));
    const together = rateOf(await simulate({ decodeBatch: 16 }, 16));
    const apart = await simulate({ decodeBatch: 16, overlap: 'asynchronous' }, 16);
    expect(together / alone).toBeGreaterThan(1);
    expect(rateOf(apart) / together).toBeGreaterThan(1.1);
    expect(apart.splitSteps?.map(({ decision }) => decision)).toEqual(['asynchronous']);
    expect(apart.newTokens).toBe(16 * 16);
  });

  it('decides step by step, by what the lanes took', async () => {
    const decisions = async (bytesPerSecond: number) => {
      const { splitSteps = [] } = await simulate({ decodeBatch: 16, overlap: 'by-rule' }, 16, bytesPerSecond);
      return new Set(splitSteps.map(({ decision }) => decision));
    };
    expect(await decisions(200e9)).toEqual(new Set(['asynchronous', 'sub-batches']));
    expect(await decisions(2e9)).toEqual(new Set(['asynchronous']));
    const few = await simulate({ decodeBatch: 6, overlap: 'by-rule', leastOnHost: 3 }, 6);
    expect(few.splitSteps?.[0]).toEqual({ decision: 'device-only', steps: 15 });
  });

  it('says why parts cannot go on without each other', async () => {
    await expect(simulate({ overlap: 'by-rule', pinnedLayers: 20 }, 16)).rejects.toThrow(
      'invalid overlap: by-rule; passes that go on beside each other need all layers on the device, expected a budget that holds llama-2-7b, or overlap sub-batches',
    );
    await expect(simulate({ overlap: 'asynchronous', attention: 'host' }, 16)).rejects.toThrow(
      'invalid overlap: asynchronous; with attention host there is one part: expected attention split',
    );
  });
});
