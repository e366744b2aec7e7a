/** What the machine has for a target that is several times a card's budget: memory, disk and how fast that is. */

import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { freemem } from 'node:os';
import { join } from 'node:path';
import { cacheDirectory } from '../../paths.js';
import { readPlainly } from '../plain-read.js';
import type { Room } from './sizes.js';

const probeBytes = 2 ** 28;
const chunkBytes = 2 ** 24;

export async function measureRoom(
  known: Pick<Room, 'freeDeviceBytes' | 'linkBytesPerSecond' | 'seconds'>,
  signal: AbortSignal,
): Promise<Room> {
  await mkdir(cacheDirectory, { recursive: true });
  const { bavail, bsize } = await statfs(cacheDirectory);
  const path = join(cacheDirectory, `probe-${process.pid}`);
  try {
    const diskWriteBytesPerSecond = await writePlainly(path);
    const diskReadBytesPerSecond = await readPlainly([path], signal);
    return {
      ...{ ...known, freeHostBytes: freemem(), freeDiskBytes: bavail * bsize },
      ...{ diskReadBytesPerSecond, diskWriteBytesPerSecond },
    };
  } finally {
    await rm(path, { force: true });
  }
}

/** Until the disk has it. @returns bytes per second */
async function writePlainly(path: string): Promise<number> {
  const chunk = Buffer.alloc(chunkBytes, 'weights');
  const file = await open(path, 'w');
  try {
    const startMs = performance.now();
    for (let written = 0; written < probeBytes; written += chunkBytes) await file.write(chunk);
    await file.datasync();
    return probeBytes / ((performance.now() - startMs) / 1000);
  } finally {
    await file.close();
  }
}
