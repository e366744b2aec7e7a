/** The link lane: what crosses to the device and back, through the device's own queue for copies. */

import { f32, storedBytes } from '@specoffload/native';
import type { Caps } from '../machine/caps.js';
import type { DeviceQueue, TransferCommand } from '../machine/device.js';
import type { WorkerOp } from '../schedule/ops.js';
import { type Execute, outcomeOf } from './lane.js';
import { secondsPer, type Work } from './paced-lane.js';

export function createLinkLane(queue: DeviceQueue): Execute {
  return async (op) => outcomeOf(await queue.submit(transfersOf(op)));
}

/** The same where caps pace it; null where none does. */
export function createPacedLink(
  { linkBytesPerSecond, linkCacheBytesPerSecond }: Caps,
  queue: DeviceQueue,
): ((op: WorkerOp) => Promise<Work>) | null {
  if ((linkBytesPerSecond ?? linkCacheBytesPerSecond) === null) return null;
  return async (op) => {
    const transfers = transfersOf(op);
    await queue.submit(transfers);
    // As the cost model has it: to the device cache goes at a rate of its own, from there as everything does.
    const ownCap = op.kind === 'fetch' ? linkCacheBytesPerSecond : null;
    const secondsPerByte = Math.max(secondsPer(linkBytesPerSecond), secondsPer(ownCap));
    return { seconds: transfers.reduce((sum, transfer) => sum + bytesOf(transfer), 0) * secondsPerByte };
  };
}

function transfersOf(op: WorkerOp): readonly TransferCommand[] {
  switch (op.kind) {
    case 'upload':
      return op.pieces.map(({ dtype, count, layout, runs, stagedOffset, deviceOffset }) => ({
        kind: 'decode',
        dtype,
        count,
        layout,
        runs,
        source: op.host + stagedOffset,
        target: op.device + deviceOffset,
      }));
    case 'fetch':
      return [{ kind: 'upload', host: op.host, device: op.device, stretches: op.stretches }];
    case 'store':
      return [{ kind: 'read-back', host: op.host, device: op.device, stretches: op.stretches }];
    default:
      throw new Error(`the link lane cannot ${op.kind}`);
  }
}

/** Bytes that cross. */
function bytesOf(transfer: TransferCommand): number {
  if (transfer.kind === 'decode') {
    const { dtype, count, layout, runs } = transfer;
    return (runs?.number ?? 1) * storedBytes(dtype, count, layout);
  }
  const { stretches } = transfer;
  let elements = 0;
  for (let i = 2; i < stretches.length; i += 3) elements += stretches[i];
  return f32.bytes(elements);
}
