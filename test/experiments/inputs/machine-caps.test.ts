/** A machine file that was measured under caps, used for runs with the same, with others and without. */

import { readFile } from 'node:fs/promises';
import { type Caps, noCaps, parseMachineModel, readMachineFile } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { setCaps } from '../../../experiments/src/inputs/caps.js';
import { describeForeignCaps } from '../../../experiments/src/inputs/machine-caps.js';
import { workstation } from '../../engine/plan-cases.js';

const caps: Caps = { ...noCaps, diskBytesPerSecond: 1.1e9 };
const capped = { ...workstation, measuredUnder: setCaps(caps) };

describe('a machine file measured under caps', () => {
  it('is said to be, with what it decides, for a run without them', () => {
    expect(describeForeignCaps(capped)).toBe(
      'the machine file workstation was measured with the disk paced to 1.10 GB/s (--disk-cap), and this run has no ' +
        "such cap: all that is read from disk is predicted at the file's pace; measure a file without caps for this " +
        'run, or give it the same',
    );
  });

  it.each<[string, Partial<Caps>, boolean]>([
    ['the same cap', { diskBytesPerSecond: 1.1e9 }, false],
    ['a lower cap, which is applied', { diskBytesPerSecond: 0.5e9 }, false],
    ['a higher cap', { diskBytesPerSecond: 2e9 }, true],
    ['a cap on another lane', { linkBytesPerSecond: 1.1e9 }, true],
    ['the same cap and another', { diskBytesPerSecond: 1.1e9, linkBytesPerSecond: 1e9 }, false],
  ])('and for a run with %s: %j', (_what, own, isSaid) => {
    const sentence = describeForeignCaps(capped, { ...noCaps, ...own });
    expect(sentence !== null).toBe(isSaid);
    if (own.diskBytesPerSecond === 2e9) expect(sentence).toContain('this run has other caps');
  });

  it('names every cap of it', () => {
    const all = setCaps({
      ...{ linkBytesPerSecond: 1e9, diskBytesPerSecond: 1e9 },
      ...{ hostCacheBytesPerSecond: 1e9, linkCacheBytesPerSecond: 1e9, hostFlopsPerSecond: 1e9 },
      ...{ hostWeightBytesPerSecond: 1e9, draftFlopsPerSecond: 1e9 },
    });
    const sentence = describeForeignCaps({ ...workstation, measuredUnder: { ...all, 'new\u001b[31m': 5 } });
    for (const flag of [
      '--link-cap',
      '--disk-cap',
      '--host-cache-cap',
      '--link-cache-cap',
      '--host-arithmetic-cap',
      '--host-weights-cap',
      '--draft-arithmetic-cap',
    ])
      expect(sentence).toContain(flag);
    expect(sentence).not.toContain('\u001b');
  });

  it('claims nothing of a file that does not say, or that was measured without', async () => {
    expect(describeForeignCaps(workstation)).toBeNull();
    expect(describeForeignCaps({ ...workstation, measuredUnder: setCaps(noCaps) })).toBeNull();
  });

  it.each([{ disk: -1 }, { disk: '1GB/s' }, { disk: null }, [1], '1GB/s', null])(
    'is refused where its caps are no rates: %j',
    async (measuredUnder) => {
      const env1 = JSON.parse(await readFile('experiments/machines/env1.json', 'utf8'));
      expect(() => parseMachineModel({ ...env1, measuredUnder }, 'mine.json')).toThrow(
        /^mine\.json: invalid measuredUnder/,
      );
    },
  );
});

it('of the paper carry no caps', async () => {
  for (const name of ['env1', 'env2'])
    expect((await readMachineFile(`experiments/machines/${name}.json`)).measuredUnder).toBeUndefined();
});
