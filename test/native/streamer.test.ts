import { existsSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NativeCore, ReadRange, StreamerOptions, StreamFile } from '@specoffload/native';
import { directIoAlignmentBytes } from '@specoffload/native';
import { describe, expect, test } from 'vitest';
import { cores, createRandom, createScratch, randomWhole } from './helpers.js';

const block = directIoAlignmentBytes;

// Beside the tests, on a disk that takes direct reads; the system's own folder for such things may be in memory.
const scratch = createScratch(fileURLToPath(new URL('../../native/build', import.meta.url)));

const memoryScratch = existsSync('/dev/shm') ? createScratch('/dev/shm') : null;

function createFile(name: string, byteLength: number, seed = byteLength): { path: string; bytes: Buffer } {
  const random = createRandom(seed);
  const bytes = Buffer.from(Uint8Array.from({ length: byteLength }, () => random() * 256));
  const path = join(scratch, name);
  writeFileSync(path, bytes);
  return { path, bytes };
}

const roundUp = (value: number) => Math.ceil(value / block) * block;

/** Reads a whole file to `arenaOffset` of an arena full of 0xa5, and returns the arena's bytes. */
async function readWhole(core: NativeCore, path: string, options: StreamerOptions, arenaOffset = block) {
  const streamer = core.createStreamer(options);
  const file = streamer.open(path);
  const arena = core.createArena(arenaOffset + roundUp(file.byteLength) + block);
  const memory = new Uint8Array(arena.buffer).fill(0xa5);
  const report = await streamer.read(
    [{ file, fileOffset: 0, byteLength: roundUp(file.byteLength), arenaOffset }],
    arena,
  );
  await streamer.close();
  return { memory, report, file };
}

describe.each(cores)('streamer, %s', (kind, core) => {
  test.each<[number, StreamerOptions]>([
    [1, {}],
    [block - 1, {}],
    [block, {}],
    [block + 1, {}],
    [10_000, { direct: false }],
    [100_001, { chunkBytes: block }],
    [300_000, { chunkBytes: 4 * block, readsInFlight: 5 }],
    [300_003, { chunkBytes: 3 * block, readsInFlight: 1 }],
  ])('reads a file of %i bytes with %o, and nothing past its end', async (byteLength, options) => {
    const { path, bytes } = createFile(`${kind}-${byteLength}`, byteLength);
    const { memory, report, file } = await readWhole(core, path, options);
    expect(file).toEqual({ path, byteLength, direct: kind === 'native' && options.direct !== false });
    expect(Buffer.from(memory.subarray(block, block + byteLength)).equals(bytes)).toBe(true);
    expect(memory.subarray(0, block).every((byte) => byte === 0xa5)).toBe(true);
    expect(memory.subarray(block + byteLength).every((byte) => byte === 0xa5)).toBe(true);
    expect(report.bytesRead).toBe(byteLength);
    expect(report.endSeconds).toBeGreaterThan(report.startSeconds);
  });

  test.each([1, 3])(
    'serves many requests of many ranges in the order of the calls, %i in flight',
    async (readsInFlight) => {
      const random = createRandom(1);
      const files = [createFile(`${kind}-a`, 400_000, 2), createFile(`${kind}-b`, 123_457, 3)];
      const streamer = core.createStreamer({ readsInFlight, chunkBytes: 2 * block });
      const opened = files.map(({ path }) => streamer.open(path));
      const arena = core.createArena(64 * 16 * block);
      const expected = Buffer.alloc(arena.byteLength);
      const settled: number[] = [];
      const startedBefore = Number(process.hrtime.bigint()) * 1e-9;
      const reports = await Promise.all(
        Array.from({ length: 64 }, async (_, i) => {
          const ranges: ReadRange[] = [];
          // Disjoint slots of 16 blocks, four ranges in each.
          for (let r = 0; r < 4; r++) {
            const which = randomWhole(random, 0, 1);
            const { bytes } = files[which];
            const fileOffset = randomWhole(random, 0, Math.floor(bytes.length / block)) * block;
            const byteLength = randomWhole(random, 1, 4) * block;
            const arenaOffset = (i * 16 + r * 4) * block;
            bytes.copy(expected, arenaOffset, fileOffset, Math.min(bytes.length, fileOffset + byteLength));
            ranges.push({ file: opened[which], fileOffset, byteLength, arenaOffset });
          }
          const report = await streamer.read(ranges, arena);
          settled.push(i);
          return report;
        }),
      );
      const endedAfter = Number(process.hrtime.bigint()) * 1e-9;
      expect(Buffer.from(arena.buffer as ArrayBuffer).equals(expected)).toBe(true);
      // All start in order. With several in flight, one may overtake another whose thread the system lets wait.
      if (readsInFlight === 1) expect(settled).toEqual(settled.map((_, i) => i));
      reports.slice(1).forEach((report, i) => {
        expect(report.startSeconds).toBeGreaterThanOrEqual(reports[i].startSeconds);
      });
      expect(reports[0].startSeconds).toBeGreaterThanOrEqual(startedBefore);
      expect(reports.at(-1)!.endSeconds).toBeLessThanOrEqual(endedAfter);
      await streamer.close();
    },
  );

  test.each([1, 2, 4])('paces reads to the cap, %i in flight', async (readsInFlight) => {
    // A busy machine may cost more than is forgiven: never too fast, and once in a few times no slower than the cap.
    let excessSeconds = Number.POSITIVE_INFINITY;
    for (let trial = 0; trial < 8 && excessSeconds > 0; trial += 1)
      excessSeconds = await readPaced(readsInFlight);
    expect(excessSeconds).toBeLessThanOrEqual(0);
  });

  /** @returns how much longer than is allowed it took */
  async function readPaced(readsInFlight: number): Promise<number> {
    const { path } = createFile(`${kind}-paced`, 1_000_000);
    const bytesPerSecondCap = 4e6;
    const streamer = core.createStreamer({ readsInFlight, chunkBytes: 16 * block, bytesPerSecondCap });
    const file = streamer.open(path);
    const arena = core.createArena(roundUp(file.byteLength));
    const range = { file, fileOffset: 0, byteLength: 240 * block, arenaOffset: 0 };
    const [first, second] = await Promise.all([streamer.read([range], arena), streamer.read([range], arena)]);
    await streamer.close();
    const seconds = second!.endSeconds - first!.startSeconds;
    const leastSeconds = (2 * range.byteLength) / bytesPerSecondCap; // about half a second
    expect(seconds).toBeGreaterThan(leastSeconds * 0.999);
    // On a paced link one transfer follows the other.
    expect(second!.startSeconds).toBeGreaterThan(first!.startSeconds + 0.49 * leastSeconds);
    return seconds - (leastSeconds * 1.03 + 0.05);
  }

  test('does not save up the link while nobody reads', async () => {
    const { path } = createFile(`${kind}-idle`, 100 * block);
    const streamer = core.createStreamer({ chunkBytes: 10 * block, bytesPerSecondCap: 10e6 });
    const file = streamer.open(path);
    const arena = core.createArena(100 * block);
    const read = () =>
      streamer.read([{ file, fileOffset: 0, byteLength: 100 * block, arenaOffset: 0 }], arena);
    await read();
    await new Promise((resolve) => setTimeout(resolve, 60));
    const { startSeconds, endSeconds } = await read();
    await streamer.close();
    expect(endSeconds - startSeconds).toBeGreaterThan(((100 * block) / 10e6) * 0.99);
  });

  test('names the path when a file cannot be opened', () => {
    const streamer = core.createStreamer();
    const open = (path: string) => {
      try {
        streamer.open(path);
      } catch (error) {
        return error;
      }
      return null;
    };
    const missing = join(scratch, 'missing');
    expect(open(missing)).toMatchObject({ code: 'ENOENT', message: expect.stringContaining(missing) });
    expect(open(scratch)).toMatchObject({ code: 'EISDIR', message: expect.stringContaining(scratch) });
  });

  test('rejects a read of a file cut short since, and goes on with the next', async () => {
    const { path } = createFile(`${kind}-cut`, 50 * block);
    const whole = createFile(`${kind}-whole`, 3 * block);
    const streamer = core.createStreamer({ chunkBytes: 4 * block });
    const file = streamer.open(path);
    const other = streamer.open(whole.path);
    truncateSync(path, 7 * block + 100);
    const arena = core.createArena(64 * block);
    const cut = streamer.read([{ file, fileOffset: 0, byteLength: 50 * block, arenaOffset: 0 }], arena);
    const next = streamer.read(
      [{ file: other, fileOffset: 0, byteLength: 3 * block, arenaOffset: 60 * block }],
      arena,
    );
    await expect(cut).rejects.toMatchObject({
      code: 'EIO',
      message: expect.stringMatching(
        new RegExp(`short read of .*${kind}-cut: it ended at byte \\d+ and had ${50 * block} bytes`),
      ),
    });
    expect((await next).bytesRead).toBe(3 * block);
    expect(Buffer.from(new Uint8Array(arena.buffer, 60 * block, 3 * block)).equals(whole.bytes)).toBe(true);
    await streamer.close();
  });

  test('drains on close, then refuses', async () => {
    const { path, bytes } = createFile(`${kind}-drain`, 40 * block);
    const streamer = core.createStreamer({ chunkBytes: block });
    const file = streamer.open(path);
    const arena = core.createArena(40 * block);
    const read = streamer.read([{ file, fileOffset: 0, byteLength: 40 * block, arenaOffset: 0 }], arena);
    await Promise.all([streamer.close(), streamer.close()]);
    expect(Buffer.from(new Uint8Array(arena.buffer)).equals(bytes)).toBe(true);
    expect((await read).bytesRead).toBe(40 * block);
    expect(() => streamer.open(path)).toThrow('the streamer is closed');
    await expect(streamer.read([], arena)).rejects.toThrow('the streamer is closed');
  });

  test.runIf(memoryScratch)(
    'reads files that live in memory, whether or not they take direct reads',
    async () => {
      const path = join(memoryScratch!, `${kind}-file`);
      const bytes = Buffer.from(Array.from({ length: 50_001 }, (_, i) => (i * 7) % 251));
      writeFileSync(path, bytes);
      const { memory, report } = await readWhole(core, path, { chunkBytes: 2 * block });
      expect(Buffer.from(memory.subarray(block, block + bytes.length)).equals(bytes)).toBe(true);
      expect(report.bytesRead).toBe(bytes.length);
    },
  );

  test('reports nothing read for no ranges', async () => {
    const streamer = core.createStreamer();
    const report = await streamer.read([], core.createArena(block));
    expect(report.bytesRead).toBe(0);
    await streamer.close();
  });

  test('refuses ranges that do not fit, and files of others', async () => {
    const { path } = createFile(`${kind}-range`, 4 * block);
    const streamer = core.createStreamer();
    const stranger = core.createStreamer();
    const file = streamer.open(path);
    const arena = core.createArena(8 * block);
    const range = { file, fileOffset: 0, byteLength: block, arenaOffset: 0 };
    const foreign: StreamFile = stranger.open(path);
    const cases: readonly (readonly [Partial<ReadRange>, string])[] = [
      [
        { arenaOffset: 8 * block },
        `invalid arenaOffset: ${8 * block}; expected ${block} bytes from there to fit`,
      ],
      [{ arenaOffset: -block }, `invalid arenaOffset: -${block}`],
      [{ byteLength: 0 }, 'invalid byteLength: 0; expected a whole number from 1'],
      [{ byteLength: 9 * block }, 'invalid arenaOffset: 0'],
      [
        { fileOffset: 5 * block },
        `invalid fileOffset: ${5 * block}; expected a whole number from 0 to ${4 * block}`,
      ],
      [{ file: foreign }, `invalid file: ${path}; expected one that this streamer opened`],
      ...(file.direct
        ? ([
            [{ fileOffset: 1 }, 'invalid fileOffset: 1; expected a multiple of 4096'],
            [{ byteLength: 100 }, 'invalid byteLength: 100; expected a multiple of 4096'],
            [{ arenaOffset: 512 }, 'invalid arenaOffset: 512; expected a multiple of 4096'],
          ] as const)
        : []),
    ];
    for (const [changes, message] of cases) {
      await expect(streamer.read([{ ...range, ...changes }], arena)).rejects.toThrow(message);
    }
    await Promise.all([streamer.close(), stranger.close()]);
  });

  test.each([
    [{ readsInFlight: 0 }, 'invalid readsInFlight: 0; expected a whole number from 1 to 64'],
    [{ chunkBytes: 5000 }, 'invalid chunkBytes: 5000; expected a multiple of 4096'],
    [{ bytesPerSecondCap: 0 }, 'invalid bytesPerSecondCap: 0; expected a positive number or null'],
    [{ bytesPerSecondCap: Number.NaN }, 'invalid bytesPerSecondCap: NaN'],
  ])('refuses the options %o', (options, message) => {
    expect(() => core.createStreamer(options)).toThrow(message);
  });
});
