/**
 * The whole process inside a memory cgroup of host budget + device budget + 600 MB. Node, onnxruntime and their code
 * are in those 600 MB; the page cache counts too, but the kernel reclaims it before it kills.
 */

import {
  accessSync,
  constants,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { inflateCheckpoint, openCheckpoint } from '@specoffload/engine';
import { afterAll, expect, it } from 'vitest';
import { type ChildRequest, type ChildResult, runChild } from './child.js';
import { createTemporaryDirectory } from './model/fixtures.js';
import { goldenDirectory } from './model/golden.js';

const mebibyte = 2 ** 20;
const deviceBytes = 24 * mebibyte;
const hostBytes = 24 * mebibyte;
const limitBytes = deviceBytes + hostBytes + 600e6;
const modelBytes = 290e6; // as stored; as fp32 it would not fit into the cgroup by itself

interface MemoryCgroup {
  readonly directory: string;
  readonly limitFile: string;
  readonly swapLimitFile: string;
  /** What a limit on memory and swap together, or on swap alone, has to say so that there is none. */
  readonly swapLimit: string;
  readonly peakFile: string;
}

/** A cgroup below this process's own, or below the root where a controller cannot be had there. */
function createMemoryCgroup(): MemoryCgroup | string {
  const name = `specoffload-wall-${process.pid}`;
  const v1 = {
    ...{ limitFile: 'memory.limit_in_bytes', swapLimitFile: 'memory.memsw.limit_in_bytes' },
    ...{ swapLimit: String(limitBytes), peakFile: 'memory.max_usage_in_bytes' },
  };
  const v2 = {
    ...{ limitFile: 'memory.max', swapLimitFile: 'memory.swap.max', swapLimit: '0', peakFile: 'memory.peak' },
  };
  const candidates = [
    { ...v1, parent: join('/sys/fs/cgroup/memory', ownCgroup(':memory:')) },
    { ...v1, parent: '/sys/fs/cgroup/memory' },
    { ...v2, parent: join('/sys/fs/cgroup', ownCgroup('0::')) },
    { ...v2, parent: '/sys/fs/cgroup' },
  ];
  let reason = 'there is no memory cgroup here';
  for (const { parent, ...files } of candidates) {
    if (!existsSync(parent)) continue;
    const directory = join(parent, name);
    try {
      accessSync(parent, constants.W_OK);
      mkdirSync(directory);
    } catch (error) {
      reason = `no cgroup can be created: ${(error as Error).message}`;
      continue;
    }
    // The kernel has made the files of a real cgroup; r+ makes none of our own in a directory that only looks like one.
    const set = (file: string, value: string) => writeFileSync(join(directory, file), value, { flag: 'r+' });
    try {
      set(files.limitFile, String(limitBytes));
      if (existsSync(join(directory, files.swapLimitFile))) set(files.swapLimitFile, files.swapLimit);
      return { directory, ...files };
    } catch (error) {
      reason = `no memory limit can be set: ${(error as Error).message}`;
      rmdirSync(directory);
    }
  }
  return reason;
}

function ownCgroup(marker: string): string {
  if (!existsSync('/proc/self/cgroup')) return '';
  const line = readFileSync('/proc/self/cgroup', 'utf8')
    .split('\n')
    .find((entry) => entry.includes(marker));
  return line?.slice(line.indexOf(marker) + marker.length) ?? '';
}

const cgroup = createMemoryCgroup();
afterAll(() => {
  if (typeof cgroup !== 'string') rmdirSync(cgroup.directory);
});

const directory = createTemporaryDirectory();

if (typeof cgroup === 'string') console.info(`the test of the wall is skipped: ${cgroup}`);

it.skipIf(typeof cgroup === 'string')('a model that does not fit runs within the wall', async () => {
  const { directory: group, limitFile, peakFile } = cgroup as MemoryCgroup;
  const source = await openCheckpoint(goldenDirectory('mixtral'));
  const target = join(directory, 'inflated');
  const inflated = await inflateCheckpoint({ source, targetDirectory: target, bytes: modelBytes, seed: 1 });
  expect(inflated.bytes).toBeGreaterThan(4 * (deviceBytes + hostBytes));
  expect(inflated.parameters * 4, 'the wall would stop a run that held the model as fp32').toBeGreaterThan(
    limitBytes * 0.85,
  );
  const request: ChildRequest = {
    ...{ target, draft: goldenDirectory('mistral-full'), strategy: 'specoffload', maxNewTokens: 4 },
    prompts: [[1, 2, 3, 4, 5], [6, 7], [8]],
    machine: { deviceBytes, hostBytes },
    policy: { candidates: 2 },
  };

  const walled = await runChild(request, 100_000, join(group, 'cgroup.procs'));
  expect(walled, walled.stderr).toMatchObject({ code: 0, signal: null });
  const free = await runChild(request, 100_000);
  const [inside, outside] = [walled.reply, free.reply] as [ChildResult, ChildResult];
  expect(inside).toMatchObject({ newTokens: 12, outputDigest: outside.outputDigest });
  expect(inside.bytesMoved.disk, 'the model came from the disk in every pass').toBeGreaterThan(
    2 * inflated.bytes,
  );
  const limit = Number(readFileSync(join(group, limitFile), 'utf8'));
  expect(limit).toBeGreaterThan(0);
  expect(limit).toBeLessThanOrEqual(limitBytes);
  if (existsSync(join(group, peakFile)))
    expect(Number(readFileSync(join(group, peakFile), 'utf8'))).toBeLessThanOrEqual(limit);
  console.info(
    `a model of ${(inflated.bytes / 1e6).toFixed(0)} MB in ${(limit / 1e6).toFixed(0)} MB: ` +
      `${(inside.peakResidentBytes / 1e6).toFixed(0)} MB resident at most, ${inside.passes} passes`,
  );
});
