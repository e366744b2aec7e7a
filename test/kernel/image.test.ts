/** Figures drawn into files by a real browser. */

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findChromium, openImageRenderer } from '@specoffload/kernel';
import { describe, expect, it } from 'vitest';

const hasBrowser = process.env.CI !== undefined || (await findChromium()) !== null;

describe('openImageRenderer', () => {
  // Where continuous integration runs, a missing browser is a failure; elsewhere a reason to skip.
  it.skipIf(!hasBrowser)('draws what the figure holds, in the size asked for', async () => {
    const renderer = await openImageRenderer();
    try {
      const bars = (heights: number[]) => ({
        data: [{ type: 'bar', x: ['a', 'b'], y: heights }],
        layout: { xaxis: { visible: false }, yaxis: { visible: false, range: [0, 3] } },
      });
      const size = { width: 300, height: 200, scale: 1 };
      const low = Buffer.from(await renderer.render(bars([1, 1]), size));
      const high = Buffer.from(await renderer.render(bars([3, 3]), size));
      expect(low.subarray(1, 4).toString()).toBe('PNG');
      expect([low.readUInt32BE(16), low.readUInt32BE(20)]).toEqual([300, 200]);
      expect(low.equals(high)).toBe(false);
    } finally {
      await renderer.close();
    }
  });
});

describe('findChromium', () => {
  it('takes the first executable of a known name', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'chromium-'));
    try {
      await writeFile(join(directory, 'chromium'), '', { mode: 0o644 });
      expect(await findChromium(directory)).toBeNull();
      await writeFile(join(directory, 'google-chrome'), '', { mode: 0o755 });
      expect(await findChromium(`/nowhere:${directory}`)).toBe(join(directory, 'google-chrome'));
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});
