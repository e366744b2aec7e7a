/** What the disk can do: the files read from start to end, directly, with nothing else going on. */

import { readFileSync } from 'node:fs';
import { defaultReadsInFlight } from '@specoffload/engine';
import { directIoAlignmentBytes, loadNativeCore } from '@specoffload/native';

const requestBytes = 8 * 2 ** 20;
const numBuffers = 4;

/** Reads all files once. @returns bytes per second */
export async function readPlainly(paths: readonly string[], signal: AbortSignal): Promise<number> {
  const core = loadNativeCore();
  const arena = core.createArena(requestBytes * numBuffers);
  const streamer = core.createStreamer({ readsInFlight: defaultReadsInFlight });
  try {
    const startSeconds = performance.now() / 1000;
    let bytes = 0;
    for (const path of paths) {
      const file = streamer.open(path);
      const pending: Promise<unknown>[] = [];
      for (let offset = 0; offset < file.byteLength; offset += requestBytes) {
        signal.throwIfAborted();
        const buffer = (offset / requestBytes) % numBuffers;
        await pending[pending.length - numBuffers]; // its buffer is free again
        const rest = Math.ceil((file.byteLength - offset) / directIoAlignmentBytes) * directIoAlignmentBytes;
        const byteLength = Math.min(requestBytes, rest);
        const range = { file, fileOffset: offset, byteLength, arenaOffset: buffer * requestBytes };
        pending.push(streamer.read([range], arena));
      }
      await Promise.all(pending);
      bytes += file.byteLength;
    }
    return bytes / (performance.now() / 1000 - startSeconds);
  } finally {
    await streamer.close();
    arena.release();
  }
}

/** Bytes this process has caused the storage to deliver so far; null where the system does not tell (not Linux). */
export function storageBytesRead(): number | null {
  try {
    const match = /^read_bytes: (\d+)$/m.exec(readFileSync('/proc/self/io', 'utf8'));
    return match ? Number(match[1]) : null;
  } catch {
    return null;
  }
}
