/** Vulkan's queues by themselves: lists of operations on four memories, in order, larger than what carries them. */

import { Worker } from 'node:worker_threads';
import {
  type GpuQueue,
  kernelKinds,
  kernelOf,
  loadNativeCore,
  loadVulkan,
  operations,
  queueRings,
  spaces,
  startsFinite,
} from '@specoffload/native';
import { afterEach, describe, expect, it } from 'vitest';
import { validationMessages, watchedVulkan, whyNoVulkan } from '../engine/vulkan.js';

const { barrier, copy, fill } = operations;
const nothing = new Uint8Array();

describe.skipIf(whyNoVulkan !== null)(`Vulkan queues${whyNoVulkan ? ` (${whyNoVulkan})` : ''}`, () => {
  const opened: (() => Promise<void>)[] = [];

  afterEach(async () => {
    for (const close of opened.splice(0).reverse()) await close();
    expect(validationMessages()).toEqual([]);
  });

  /** Two queues over device memory in banks, and one arena. */
  async function open({
    hostBytes = 4096,
    refusesImport = false,
    banks = [2 ** 20],
    bankBytes = 2 ** 31,
  } = {}) {
    const vulkan = loadVulkan();
    const arena = loadNativeCore('native').createArena(hostBytes);
    const validates = watchedVulkan.trials?.validates ?? false;
    const gpu = await vulkan.openGpu({ index: 0, validates, usesOneFamily: false }, nothing);
    const session = await vulkan.openSession(gpu.id, {
      ...{ bankBytes, banks, hostBankBytes: 2 ** 32, hostPieceBytes: 2 ** 30, refusesImport, ...queueRings },
      arenas: [arena.handle.kind === 'native' ? arena.handle.id : 0],
    });
    const [compute, transfer] = [new vulkan.Queue(session.id, false), new vulkan.Queue(session.id, true)];
    opened.push(async () => {
      await Promise.all([compute.close(), transfer.close()]);
      vulkan.closeSession(session.id);
      arena.release();
    });
    return { vulkan, gpuId: gpu.id, session, compute, transfer, host: new Uint8Array(arena.buffer) };
  }

  const submit = (queue: GpuQueue, numbers: number[], data = nothing, answerBytes = 0) =>
    queue.submit(Float64Array.from(numbers), data, answerBytes);

  it.each([false, true])(
    'copies more than staging buffers hold, there and back (refused import: %s)',
    async (refusesImport) => {
      const count = 80 * 2 ** 20 + 12;
      const { session, transfer, host } = await open({
        ...{ hostBytes: 2 * count + 8, refusesImport, banks: [count + 4] },
      });
      expect(session.reachesHost).toBe(!refusesImport);
      const words = new Uint32Array(host.buffer, 0, count / 4);
      words.forEach((_, i) => {
        words[i] = Math.imul(i, 2654435761);
      });
      await submit(transfer, [copy, spaces.host, 4, count]);
      await submit(transfer, [copy, 4, spaces.host + count, count]);
      expect(Buffer.compare(host.subarray(0, count), host.subarray(count, 2 * count))).toBe(0);
    },
  );

  it('reaches every bank of the pool, and no address between them', async () => {
    const { compute } = await open({ bankBytes: 4096, banks: [4096, 256, 1024] });
    const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const [, , answers] = await submit(
      compute,
      [
        copy,
        spaces.data,
        4092,
        4,
        copy,
        spaces.data + 4,
        8192,
        4,
        barrier,
        copy,
        4092,
        spaces.answers,
        4,
        copy,
        8192,
        spaces.answers + 4,
        4,
      ],
      data,
      8,
    );
    expect(new Uint8Array(answers)).toEqual(data);
    const refused = (...numbers: number[]) => expect(() => submit(compute, numbers)).toThrow(RangeError);
    refused(fill, 4096 + 256, 4);
    refused(fill, 4 * 4096, 4);
    refused(copy, 0, 8192, 2000);
    refused(copy, 0, spaces.host + 5000, 4);
    refused(copy, 0, spaces.answers, 4);
    refused(7);
    refused(fill, 0);
    refused(operations.dispatch, 1e6, 1, 1, 1, 0, 0);
  });

  it('answers with more than what carries answers, and takes as much data', async () => {
    const { compute } = await open({ banks: [2 ** 25] });
    const data = new Uint8Array(2 ** 25).map((_, i) => i % 251);
    await submit(compute, [copy, spaces.data, 0, data.length], data);
    const [, , answers] = await submit(compute, [copy, 0, spaces.answers, data.length], nothing, data.length);
    expect(Buffer.compare(new Uint8Array(answers), data)).toBe(0);
  });

  it('keeps hundreds of submissions in order, at times that follow each other on the clock of the process', async () => {
    const { compute, transfer } = await open();
    const now = () => Number(process.hrtime.bigint()) * 1e-9;
    const begun = now();
    const done = await Promise.all(
      Array.from({ length: 300 }, (_, i) => {
        const data = new Uint8Array(Uint32Array.of(i).buffer);
        // What is there before, then its own number.
        const list = [copy, 0, spaces.answers, 4, barrier, copy, spaces.data, 0, 4];
        return submit(compute, list, data, 4);
      }),
    );
    const seen = done.map(([, , answers]) => new Uint32Array(answers)[0]);
    expect(seen.slice(1)).toEqual(Array.from({ length: 299 }, (_, i) => i));
    let last = begun - 1e-3; // clocks of device and host are tied to each other within some microseconds
    for (const [start, end] of done) {
      expect(start).toBeGreaterThanOrEqual(last);
      expect(end).toBeGreaterThanOrEqual(start);
      last = end;
    }
    expect(last).toBeLessThan(now() + 1e-3);
    await submit(transfer, [fill, 0, 4]);
    const [, , answers] = await submit(compute, [copy, 0, spaces.answers, 4], nothing, 4);
    expect(new Uint32Array(answers)[0]).toBe(0);
  });

  it('tells by its own clock what the time went to, over more stretches than one part has timestamps for', async () => {
    const { vulkan, gpuId, compute } = await open();
    const check = startsFinite({ source: 0, target: 4, rows: 1, width: 1 });
    const [kernel] = await vulkan.prepareKernels(gpuId, [kernelOf(check)]);
    const { addresses, words } = check;
    const dispatch = [
      operations.dispatch,
      kernel!,
      1,
      1,
      1,
      addresses.length,
      ...addresses,
      words.length,
      ...words,
    ];
    const turns = 150; // two stretches each
    const once = [barrier, fill, 0, 2 ** 19, barrier, ...(dispatch as number[])];
    const [start, end, , kinds] = await submit(compute, Array.from({ length: turns }, () => once).flat());
    const secondsOf = (kind: (typeof kernelKinds)[number]) => kinds![kernelKinds.indexOf(kind)]!;
    const sum = kinds!.reduce((all, seconds) => all + seconds, 0);
    expect(sum).toBe(secondsOf('copy') + secondsOf('choice'));
    expect(secondsOf('choice')).toBeGreaterThan(0);
    expect(secondsOf('copy')).toBeGreaterThan(0);
    expect(sum).toBeLessThanOrEqual(end - start + 1e-4);
    const [, , , nothingDone] = await submit(compute, []);
    expect(nothingDone!.reduce((all, seconds) => all + seconds, 0)).toBeLessThan(sum / 2);
  });

  it.skipIf(!watchedVulkan.trials?.validates)('is watched: a barrier that is missing is found', async () => {
    const { compute } = await open();
    await submit(compute, [fill, 0, 8, fill, 4, 8]);
    expect(validationMessages().join()).toContain('SYNC-HAZARD-WRITE-AFTER-WRITE');
    await submit(compute, [fill, 0, 8, barrier, fill, 4, 8]);
  });

  it('lets a thread end with work under way', async () => {
    const { session } = await open();
    const program = `
      const { workerData, parentPort } = require('node:worker_threads');
      import(workerData.native).then(({ loadVulkan }) => {
        const { Queue } = loadVulkan();
        const queue = new Queue(workerData.session, false);
        const zeros = new Float64Array(4000).map((_, i) => [2, 0, 1048576, 0][i % 4]); // fill, barrier, ...
        for (let i = 0; i < 20; i += 1) queue.submit(zeros, new Uint8Array(), 0);
        parentPort.postMessage('busy');
      });`;
    const worker = new Worker(program, {
      eval: true,
      workerData: { session: session.id, native: import.meta.resolve('@specoffload/native') },
    });
    await new Promise((resolve) => worker.once('message', resolve));
    expect(await worker.terminate()).toBe(1);
  });

  it('refuses what comes after its end', async () => {
    const { vulkan, session } = await open();
    const queue = new vulkan.Queue(session.id, false);
    await queue.close();
    expect(() => submit(queue, [barrier])).toThrow('the queue is closed');
    expect(() => new vulkan.Queue(1e9, false)).toThrow('invalid session');
  });
});
