/** Shows how far work is that is measured in bytes. */

import { formatBytes, formatPercent } from './format.js';
import type { Output } from './output.js';

interface BytesDone {
  readonly bytesDone: number;
  readonly bytesTotal: number;
}

/** @param step what was done with so many of the bytes, such as `written` */
type OnBytesDone = (progress: BytesDone, step: string) => void;

export async function withBytesDone<Result>(
  what: string,
  output: Output,
  work: (onProgress: OnBytesDone) => Promise<Result>,
): Promise<Result> {
  const follower = output.follow();
  try {
    return await work(({ bytesDone, bytesTotal }, step) =>
      follower.update(
        () =>
          `${what}: ${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)} ${step}, ${formatPercent(bytesDone / bytesTotal)}`,
      ),
    );
  } finally {
    follower.end();
  }
}
