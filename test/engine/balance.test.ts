/** HeteGen's balance: its two equations in their limits, what they make of a machine, and its published ablation. */

import {
  describeCatalogModel,
  type MachineModel,
  measuredHostShare,
  type PolicyInput,
  printedHostShare,
  simulateRun,
  withLane,
} from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { openMachine } from '../../experiments/src/inputs/machines.js';

describe('the printed equation', () => {
  const rates = { host: 30e9, link: 26e9, device: 600e9 };
  const halves = (share: number, { host, link, device } = rates) =>
    [share / host, (1 - share) / link + (1 - share) / device] as const;

  it('has the host end when the device does', () => {
    const [onHost, onDevice] = halves(printedHostShare(rates));
    expect(onHost).toBeCloseTo(onDevice, 15);
    // As it is printed, of the device's share.
    const { host: c, link: com, device: g } = rates;
    expect(1 - printedHostShare(rates)).toBeCloseTo((g * com) / (c * g + c * com + com * g), 12);
  });

  it('gives everything to whoever is infinitely fast, and nothing to whoever is infinitely slow', () => {
    const infinite = Number.POSITIVE_INFINITY;
    expect(printedHostShare({ ...rates, host: infinite })).toBe(1);
    expect(printedHostShare({ ...rates, host: 0 })).toBe(0);
    expect(printedHostShare({ ...rates, link: 0 })).toBe(1);
    expect(printedHostShare({ ...rates, device: 0 })).toBe(1);
    expect(printedHostShare({ host: 26e9, link: 26e9, device: infinite })).toBe(0.5);
  });
});

it('balances measured times, in the limits too', () => {
  const share = measuredHostShare(3, 1);
  expect(share * 3).toBeCloseTo((1 - share) * 1, 15);
  expect([measuredHostShare(0, 1), measuredHostShare(1, 0), measuredHostShare(0, 0)]).toEqual([1, 0, 0]);
});

const target = describeCatalogModel('opt-13b');
const published: PolicyInput = { balance: 'measured', prefetchDepth: 2 };

function simulate(machine: MachineModel, policy: PolicyInput, maxNewTokens = 8) {
  const job = { target, draft: null, promptLengths: [64], strategy: 'hetegen', maxNewTokens } as const;
  return simulateRun({ ...job, machine, policy: { ...published, ...policy } });
}

it('keeps link and host equally busy, on each kind of layer its own share', async () => {
  const machine = await openMachine('a10-hetegen');
  const { phases, hostShares } = await simulate(machine, { pinnedLayers: 0 }, 24);
  const { link, host } = phases.decode.lanes;
  expect(link.busySeconds / phases.decode.seconds).toBeGreaterThan(0.95);
  // But for the first pass, whose weights came whole: they were on their way while prompts were read.
  expect(host.busySeconds / link.busySeconds).toBeGreaterThan(0.95);
  expect(host.busySeconds / link.busySeconds).toBeLessThan(1.01);
  expect(hostShares?.expert).toBeCloseTo(16.44 / (16.44 + 26), 2);
  // A host that starts each FFN late takes less of them, and as much as before of projections.
  const late = withLane(machine, 'host', { kinds: { expert: { overheadSeconds: 0.005 } } });
  const other = await simulate(late, { pinnedLayers: 0 });
  expect(other.hostShares?.attention).toBeCloseTo(hostShares!.attention, 6);
  expect(other.hostShares!.expert).toBeLessThan(0.9 * hostShares!.expert);
  // What the equation says of data sheets is the same for all.
  const sheets = await simulate(late, { pinnedLayers: 0, balance: 'printed' });
  expect(sheets.hostShares!.expert).toBeCloseTo(printedHostShare(machine.sheet!), 12);
});

it('sends nothing to the device beside a host of infinite speed', async () => {
  const machine = await openMachine('a10-hetegen');
  const infinite = { arithmetic: [[1, 1e18]], memoryBytesPerSecond: 1e15 } as const;
  const { phases } = await simulate(withLane(machine, 'host', infinite), { pinnedLayers: 0 });
  // But for the first pass.
  expect(phases.decode.lanes.link.bytes).toBeLessThan(target.bytes);
});

it('reports nothing where the share is given', async () => {
  const machine = await openMachine('a10-hetegen');
  expect((await simulate(machine, { balance: 'given' })).hostShares).toBeUndefined();
});
