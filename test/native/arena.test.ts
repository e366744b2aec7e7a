import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { describe, expect, test } from 'vitest';
import { addonIsBuilt, cores, createScratch } from './helpers.js';

const scratch = createScratch();

function startWorker(name: string, workerData: object): Worker {
  return new Worker(new URL(`./fixtures/${name}.mjs`, import.meta.url), { workerData });
}

/** Runs a module in a process of its own and returns what it printed. */
function runModule(
  source: string,
  { limitSeconds = 30 } = {},
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, ['--expose-gc', '--input-type=module', '--eval', source], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    encoding: 'utf8',
    timeout: limitSeconds * 1000,
  });
}

describe.each(cores)('arena, %s', (kind, core) => {
  test('starts as zeros, at its full length', () => {
    const arena = core.createArena(100_001);
    expect(arena.byteLength).toBe(100_001);
    expect(arena.buffer.byteLength).toBe(100_001);
    expect(arena.handle).toMatchObject({ kind, byteLength: 100_001 });
    expect(new Uint8Array(arena.buffer).every((byte) => byte === 0)).toBe(true);
    arena.release();
  });

  test('costs no memory until it is touched', () => {
    const before = process.memoryUsage().rss;
    const arena = core.createArena(3 * 2 ** 30);
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 28);
    arena.release();
  });

  test('is the same memory in a worker thread', async () => {
    const arena = core.createArena(16);
    const words = new Uint32Array(arena.buffer);
    words.set([1, 2, 3, 4]);
    const worker = startWorker('open-arena', { preference: kind, handle: arena.handle, releaseAll: true });
    const [{ seen, sameBuffer, stillOpen }] = await once(worker, 'message');
    await worker.terminate();
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(sameBuffer).toBe(true);
    expect(stillOpen).toBe(true);
    expect(Array.from(words)).toEqual([4242, 4343, 3, 4]);
    arena.release();
  });

  test('outlives a worker thread that ends without releasing it', async () => {
    const arena = core.createArena(16);
    for (let i = 0; i < 3; i++) {
      const worker = startWorker('open-arena', { preference: kind, handle: arena.handle, releaseAll: false });
      const exited = once(worker, 'exit');
      await once(worker, 'message');
      await exited;
      expect(new Uint32Array(arena.buffer)[0]).toBe(4242);
    }
    arena.release();
  });

  test('refuses to be used after release; releasing twice is harmless', () => {
    const arena = core.createArena(16);
    const again = core.openArena(arena.handle);
    arena.release();
    arena.release();
    expect(() => arena.buffer).toThrow('invalid arena: it is released; expected one in use');
    expect(new Uint8Array(again.buffer).length).toBe(16);
    again.release();
  });

  test.each([0, -1, 1.5, Number.NaN, Infinity])('refuses %d bytes', (byteLength) => {
    expect(() => core.createArena(byteLength)).toThrow(
      `invalid byteLength: ${byteLength}; expected a positive whole number`,
    );
  });

  test('refuses the handle of the other implementation', () => {
    const handle =
      kind === 'native'
        ? ({ kind: 'twin', memory: new SharedArrayBuffer(8), byteLength: 8 } as const)
        : ({ kind: 'native', id: 1, byteLength: 8 } as const);
    expect(() => core.openArena(handle)).toThrow(`invalid arena handle: ${handle.kind}`);
  });

  test('lets a worker thread be terminated in the middle of its reads', async () => {
    const path = join(scratch, 'file');
    writeFileSync(path, Buffer.alloc(65536, 1));
    for (let i = 0; i < 3; i++) {
      const worker = startWorker('abandon-reads', { preference: kind, path });
      await once(worker, 'message');
      await new Promise((resolve) => setTimeout(resolve, 20));
      await worker.terminate();
    }
  });

  test('lets the process exit with an idle streamer, and with an arena open', () => {
    const path = join(scratch, 'idle');
    writeFileSync(path, Buffer.alloc(8192, 1));
    const { status, stdout, stderr } = runModule(`
      import { loadNativeCore } from '@specoffload/native';
      const core = loadNativeCore(${JSON.stringify(kind)});
      const streamer = core.createStreamer();
      const file = streamer.open(${JSON.stringify(path)});
      const arena = core.createArena(8192);
      const report = await streamer.read([{ file, fileOffset: 0, byteLength: 8192, arenaOffset: 0 }], arena);
      const unused = core.createStreamer();
      console.log(report.bytesRead, typeof unused);
    `);
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '8192 object\n', stderr: '' });
  });

  test('keeps the process alive until its reads are done', () => {
    const path = join(scratch, 'pending');
    writeFileSync(path, Buffer.alloc(8192, 1));
    const { status, stdout } = runModule(`
      import { loadNativeCore } from '@specoffload/native';
      const core = loadNativeCore(${JSON.stringify(kind)});
      const streamer = core.createStreamer({ bytesPerSecondCap: 81920, chunkBytes: 4096 });
      const file = streamer.open(${JSON.stringify(path)});
      streamer.read([{ file, fileOffset: 0, byteLength: 8192, arenaOffset: 0 }], core.createArena(8192))
        .then(() => console.log('done'));
    `);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'done\n' });
  });
});

describe.runIf(addonIsBuilt)('threads of the native streamer', () => {
  test('end on close, and when the garbage collector finds the streamer', () => {
    const path = join(scratch, 'threads');
    writeFileSync(path, Buffer.alloc(16384, 1));
    const { status, stdout, stderr } = runModule(`
      import { readdirSync } from 'node:fs';
      import { loadNativeCore } from '@specoffload/native';
      const core = loadNativeCore('native');
      const arena = core.createArena(16384);
      const numThreads = () => readdirSync('/proc/self/task').length;
      const numFiles = () => readdirSync('/proc/self/fd').length;
      const before = { threads: numThreads(), files: numFiles() };
      // A thread for each of four chunks.
      const use = async (close) => {
        const streamer = core.createStreamer({ readsInFlight: 4, chunkBytes: 4096 });
        const file = streamer.open(${JSON.stringify(path)});
        await streamer.read([{ file, fileOffset: 0, byteLength: 16384, arenaOffset: 0 }], arena);
        if (close) await streamer.close();
        return streamer;
      };
      for (let i = 0; i < 5; i++) await use(true);
      const closed = { threads: numThreads(), files: numFiles() };
      // held until they are counted: the collector may run at any time
      const held = [];
      for (let i = 0; i < 5; i++) held.push(await use(false));
      const open = { threads: numThreads(), files: numFiles() };
      held.length = 0;
      for (let i = 0; i < 10; i++) { gc(); await new Promise((resolve) => setTimeout(resolve, 10)); }
      const collected = { threads: numThreads(), files: numFiles() };
      console.log(JSON.stringify({ before, closed, open, collected }));
    `);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { before, closed, open, collected } = JSON.parse(stdout);
    expect(closed).toEqual(before);
    expect(open).toEqual({ threads: before.threads + 20, files: before.files + 5 });
    expect(collected).toEqual(before);
  });
});

describe.runIf(addonIsBuilt)('memory of the native arena', () => {
  test('returns to the system on release, and views of it become empty', () => {
    const { stdout, stderr } = runModule(`
      import { loadNativeCore } from '@specoffload/native';
      const core = loadNativeCore('native');
      const before = process.memoryUsage().rss;
      const arena = core.createArena(256 * 2 ** 20);
      const view = new Uint8Array(arena.buffer).fill(1);
      const held = process.memoryUsage().rss - before;
      const second = core.openArena(arena.handle);
      arena.release();
      const shared = process.memoryUsage().rss - before;
      second.release();
      const after = process.memoryUsage().rss - before;
      console.log(JSON.stringify({ held, shared, after, length: view.length }));
      try { core.openArena(arena.handle); } catch (error) { console.log(error.message); }
    `);
    expect(stderr).toBe('');
    const [numbers, message] = stdout.trim().split('\n');
    const { held, shared, after, length } = JSON.parse(numbers!);
    expect(held).toBeGreaterThan(250 * 2 ** 20);
    expect(shared).toBeGreaterThan(250 * 2 ** 20);
    expect(after).toBeLessThan(50 * 2 ** 20);
    expect(length).toBe(0);
    expect(message).toMatch(
      /invalid arena id: \d+; expected an arena that some thread of this process still holds/,
    );
  });

  test('returns to the system when the garbage collector finds it, and not while a view is left', () => {
    const { stdout, stderr } = runModule(`
      import { loadNativeCore } from '@specoffload/native';
      const core = loadNativeCore('native');
      const turn = () => new Promise((resolve) => setTimeout(resolve, 10));
      const before = process.memoryUsage().rss;
      let arena = core.createArena(256 * 2 ** 20);
      let view = new Uint8Array(arena.buffer).fill(1);
      const weak = new WeakRef(arena.buffer);
      arena = null;
      for (let i = 0; i < 5; i++) { gc(); await turn(); }
      const held = process.memoryUsage().rss - before;
      const sum = view[0] + view.at(-1);
      view = null;
      for (let i = 0; i < 5; i++) { gc(); await turn(); }
      const after = process.memoryUsage().rss - before;
      console.log(JSON.stringify({ held, after, sum, collected: weak.deref() === undefined }));
    `);
    expect(stderr).toBe('');
    const { held, after, sum, collected } = JSON.parse(stdout);
    expect(held).toBeGreaterThan(250 * 2 ** 20);
    expect(after).toBeLessThan(50 * 2 ** 20);
    expect(sum).toBe(2);
    expect(collected).toBe(true);
  });

  test('does not make the collector hurry: a large arena costs a collection when it is made, none later', () => {
    const work = (numArenas: number) => `
      import { PerformanceObserver, constants } from 'node:perf_hooks';
      import { loadNativeCore } from '@specoffload/native';
      const core = loadNativeCore('native');
      const turn = () => new Promise((resolve) => setTimeout(resolve, 10));
      let numMajor = 0;
      new PerformanceObserver((list) => {
        for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) numMajor += 1;
      }).observe({ entryTypes: ['gc'] });
      const allocate = async () => {
        const kept = [];
        for (let round = 0; round < 30; round++) {
          const garbage = [];
          for (let i = 0; i < 30_000; i++) garbage.push({ round, i });
          for (let i = 0; i < 50; i++) garbage.push(new Float32Array(16384));
          kept.push(garbage.slice(0, 1000));
          await turn();
        }
        return kept;
      };
      const arenas = Array.from({ length: ${numArenas} }, () => core.createArena(4 * 2 ** 30));
      const opened = arenas.map((arena) => arena.buffer.byteLength);
      await allocate();
      const inFirst = numMajor;
      await allocate();
      console.log(JSON.stringify({ inFirst, inSecond: numMajor - inFirst, opened: opened.length }));
      for (const arena of arenas) arena.release();
    `;
    const [without, withArenas] = [0, 8].map((numArenas) => {
      const { status, stdout, stderr } = runModule(work(numArenas), { limitSeconds: 60 });
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      return JSON.parse(stdout) as { inFirst: number; inSecond: number };
    });
    // A storm would be one per few megabytes: hundreds. The bounds leave room for the chance in when one is due.
    expect(withArenas!.inFirst).toBeLessThanOrEqual(without!.inFirst + 8 + 4);
    expect(withArenas!.inSecond).toBeLessThanOrEqual(without!.inSecond + 4);
  });
});
