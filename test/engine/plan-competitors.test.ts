import { catalogSpec, describeModel, strategies } from '@specoffload/engine';
import { describe, expect, it } from 'vitest';
import { stagedVulkanFormats, vulkanFormats } from '../../engine/dist/machine/formats.js';
import { planSpace, type SpaceRequest } from '../../engine/dist/plan/space.js';

const target = describeModel({ name: 'target', spec: catalogSpec('mixtral-8x7b') });
const draft = describeModel({ name: 'draft', spec: catalogSpec('mistral-7b') });

describe('planning for a competitor', () => {
  it.each(['accelerate', 'deepspeed', 'flexgen', 'fiddler'] as const)(
    'leaves %s what it is, and plans its batches with and without a draft',
    (name) => {
      const families = planSpace({ target, draft, numPrompts: 64, strategies: [name] });
      expect(families.map(({ speculation }) => speculation)).toEqual(['none', 'serial']);
      const { batches: _batches, ...defining } = strategies[name].defaults;
      for (const { starts, coordinates } of families) {
        for (const start of starts) expect(start).toMatchObject(defining);
        expect(coordinates.map((coordinate) => coordinate.name)).toEqual(
          expect.arrayContaining(['batch', 'prefillBatch']),
        );
        for (const { values } of coordinates)
          for (const value of values)
            for (const field of Object.keys(defining)) expect(value).not.toHaveProperty(field);
      }
    },
  );

  it('finds the share that HeteGen computes on the host', () => {
    const [family] = planSpace({ target, draft, numPrompts: 64, strategies: ['hetegen'] });
    expect(family?.coordinates.map(({ name }) => name)).toContain('hostShare');
  });

  it('proposes with a draft only where there is one', () => {
    const families = planSpace({ target, draft: null, numPrompts: 64, strategies: ['flexgen'] });
    expect(families.map(({ speculation }) => speculation)).toEqual(['none']);
  });
});

describe('planning for a device', () => {
  const waysOn = (machine?: SpaceRequest['machine']) =>
    planSpace({ target, draft: null, numPrompts: 64, ...(machine && { machine }) }).flatMap(
      ({ coordinates }) => coordinates.find(({ name }) => name === 'inPlace')?.values ?? [],
    );

  it('tries kernels that read host memory only where they do, and no cap of the link is passed by', () => {
    expect(waysOn({ formats: vulkanFormats })).toContainEqual({
      ...{ keptExperts: 'in-place', keptAttention: 'in-place' },
    });
    expect(waysOn()).toEqual([]);
    expect(waysOn({ formats: stagedVulkanFormats })).toEqual([]);
    expect(waysOn({ formats: vulkanFormats, measuredUnder: { linkBytesPerSecond: 1e9 } })).toEqual([]);
  });
});
