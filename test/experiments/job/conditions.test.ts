import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import {
  conditionsBetween,
  describeConditions,
  parseProcessorTicks,
  parseProcessTicks,
  readUsage,
  sumTree,
  type Usage,
  watchConditions,
} from '../../../experiments/src/job/conditions.js';

describe('conditions between two looks at the processors', () => {
  const before: Usage = { total: 1000, stolen: 40, inProcesses: 500, own: 100 };
  const cases = [
    { change: { total: 100 }, stolenShare: 0, othersShare: 0, isDisturbed: false },
    { change: { total: 100, inProcesses: 80, own: 80 }, stolenShare: 0, othersShare: 0, isDisturbed: false },
    {
      change: { total: 100, inProcesses: 80, own: 75 },
      stolenShare: 0,
      othersShare: 0.05,
      isDisturbed: false,
    },
    { change: { total: 100, inProcesses: 80, own: 60 }, stolenShare: 0, othersShare: 0.2, isDisturbed: true },
    { change: { total: 1000, stolen: 20 }, stolenShare: 0.02, othersShare: 0, isDisturbed: true },
    // Both clocks tick in hundredths of a second and not at once: a little less than nothing is nothing.
    { change: { total: 100, inProcesses: 80, own: 82 }, stolenShare: 0, othersShare: 0, isDisturbed: false },
  ];
  it.each(cases)('$change', ({ change, ...expected }) => {
    const after = { ...before };
    for (const [field, ticks] of Object.entries(change)) after[field as keyof Usage] += ticks;
    expect(conditionsBetween(before, after)).toEqual(expected);
  });

  it('are unknown where the system does not say, or no time has passed', () => {
    expect(conditionsBetween(null, before)).toBeNull();
    expect(conditionsBetween(before, null)).toBeNull();
    expect(conditionsBetween(before, before)).toBeNull();
  });

  it('read as a sentence', () => {
    expect(describeConditions({ stolenShare: 0.03, othersShare: 0.12, isDisturbed: true })).toBe(
      "other machines took 3 % of the processors' time and other processes 12 %",
    );
  });
});

describe('the files of /proc', () => {
  it('count all processors together in the first line of stat', () => {
    const text = 'cpu  100 5 50 800 10 7 8 40 0 0\ncpu0 1 2 3';
    expect(parseProcessorTicks(text)).toEqual({ total: 1020, stolen: 40, inProcesses: 155 });
    for (const broken of ['intr 5', '', 'cpu 1 2 3', 'cpu  1 2 3 4 5 6 7 x']) {
      expect(parseProcessorTicks(broken)).toBeNull();
    }
  });

  it('count a process whose name holds brackets and spaces', () => {
    const text = '42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 11 12 13 14 20 0 1 0 95164';
    expect(parseProcessTicks(text)).toEqual({ pid: 42, parentPid: 7, ticks: 50 });
    expect(parseProcessTicks('42 (cut off) S 7')).toBeNull();
    expect(parseProcessTicks('')).toBeNull();
  });

  it('make a tree: strangers do not count', () => {
    const processes = [
      { pid: 1, parentPid: 0, ticks: 1000 },
      { pid: 2, parentPid: 1, ticks: 1 },
      { pid: 3, parentPid: 2, ticks: 10 },
      { pid: 4, parentPid: 3, ticks: 100 },
      { pid: 5, parentPid: 1, ticks: 5000 },
    ];
    expect(sumTree(processes, 2)).toBe(111);
    expect(sumTree(processes, 9)).toBe(0);
  });
});

describe.runIf(process.platform === 'linux')('this machine', () => {
  it('counts the processor time of a child that has ended as our own', async () => {
    const spin = 'while (process.cpuUsage().user < 3e5);';
    const before = await readUsage();
    const child = spawn(process.execPath, ['-e', spin], { stdio: 'ignore' });
    await once(child, 'exit');
    const after = await readUsage();
    // 30 ticks of a hundredth of a second, less what rounding takes.
    expect(after!.own - before!.own).toBeGreaterThanOrEqual(28);
  });

  it('gives shares from a watch', async () => {
    const watch = watchConditions();
    await setTimeout(50);
    const { stolenShare, othersShare } = (await watch.stop())!;
    for (const share of [stolenShare, othersShare]) {
      expect(share).toBeGreaterThanOrEqual(0);
      expect(share).toBeLessThanOrEqual(1);
    }
  });
});
