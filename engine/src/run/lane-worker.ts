/** A lane's thread: takes one op at a time, in order, and says when it really began and ended. */

import { parentPort, workerData } from 'node:worker_threads';
import { loadNativeCore } from '@specoffload/native';
import { CpuDevice } from '../machine/cpu-device.js';
import { PoolMemory } from '../machine/pool.js';
import type { AttentionOp, UploadOp, WorkerOp } from '../schedule/ops.js';
import type { LaneWorkerData, WorkerReply, WorkerRequest } from './lane-protocol.js';
import { LayerKernels } from './layer-kernels.js';

const port = parentPort;
if (!port) throw new Error('lane-worker runs only as a worker thread');

const data = workerData as LaneWorkerData;
const core = loadNativeCore(data.core);
const hostMemory = PoolMemory.open(core, data.host);
const deviceMemory = PoolMemory.open(core, data.device);
const device = new CpuDevice({ core, host: hostMemory, device: deviceMemory, threads: data.threads });

/** Seconds on the clock that all threads share. */
function nowSeconds(): number {
  return Number(process.hrtime.bigint()) / 1e9;
}

type Execute = (op: WorkerOp) => Promise<unknown> | unknown;

async function createDeviceLane(): Promise<Execute> {
  const target = new LayerKernels(device, await device.createModel(data.target.config), data.target);
  const draft =
    data.draft && new LayerKernels(device, await device.createModel(data.draft.config), data.draft);
  return async (op) => {
    switch (op.kind) {
      case 'embed':
        return target.embed(op.frame, op.ids);
      case 'project':
        await target.project(op.frame, op.layer, op.rows, op.weights);
        return target.readBackProjections(op.frame, op.rows);
      case 'mix':
        target.uploadAttention(op.frame, op.rows);
        return { rowsPerExpert: await target.mix(op.frame, op.layer, op.rows, op.weights) };
      case 'expert':
        return target.expert(op.frame, op.layer, op.rows, op.expert, op.weights);
      case 'head':
        return target.head(op.frame, op.rowIndices, op.wantsLogits);
      case 'draft':
        return { ids: await draft?.draftStep(op) };
      default:
        throw new Error(`the device lane cannot ${op.kind}`);
    }
  };
}

function createHostLane(): Execute {
  const { config, frames, kvCache, rope, numPositions } = data.target;
  const floats = (address: number, count: number) => hostMemory.floats(address, count);
  const { numHeads, numKvHeads, headDim, slidingWindow } = config;
  const tableLength = (numPositions * headDim) / 2;
  const attend = ({ frame, layer, rows, sequences }: AttentionOp) => {
    const regions = frames[frame].host;
    if (!regions || !rope.host)
      throw new Error('the host lane needs buffers and rotation tables in host memory');
    core.attend({
      shape: { numHeads, numKvHeads, headDim, slidingWindow: slidingWindow ?? 0 },
      q: floats(regions.q.byteOffset, rows * numHeads * headDim),
      k: floats(regions.k.byteOffset, rows * numKvHeads * headDim),
      v: floats(regions.v.byteOffset, rows * numKvHeads * headDim),
      out: floats(regions.out.byteOffset, rows * numHeads * headDim),
      cache: floats(kvCache[layer].byteOffset, kvCache[layer].byteLength / 4),
      sequences,
      ropeCos: floats(rope.host.cos.byteOffset, tableLength),
      ropeSin: floats(rope.host.sin.byteOffset, tableLength),
      threads: data.threads,
    });
  };
  return (op) => {
    if (op.kind !== 'attention') throw new Error(`the host lane cannot ${op.kind}`);
    attend(op);
  };
}

function createLinkLane(): Execute {
  const cap = data.linkBytesPerSecondCap;
  // When the paced link has carried everything so far; keeps the rate exact over many small transfers.
  let paidUntilSeconds = 0;
  const upload = ({ pieces, bytes }: UploadOp) => {
    const startSeconds = nowSeconds();
    for (const { source, dtype, count, target } of pieces) device.widen(source, dtype, count, target);
    if (cap === null) return;
    paidUntilSeconds = Math.max(paidUntilSeconds, startSeconds) + bytes / cap;
    sleepUntil(paidUntilSeconds);
  };
  return (op) => {
    if (op.kind !== 'upload') throw new Error(`the link lane cannot ${op.kind}`);
    upload(op);
  };
}

const sleepCell = new Int32Array(new SharedArrayBuffer(4));

function sleepUntil(seconds: number): void {
  const milliseconds = (seconds - nowSeconds()) * 1000;
  if (milliseconds > 0) Atomics.wait(sleepCell, 0, 0, milliseconds);
}

async function createLane(): Promise<Execute> {
  if (data.lane === 'device') return createDeviceLane();
  return data.lane === 'host' ? createHostLane() : createLinkLane();
}

async function main(): Promise<void> {
  const execute = await createLane();
  const send = (reply: WorkerReply) => port?.postMessage(reply);
  const serve = async ({ id, op }: WorkerRequest) => {
    try {
      const startSeconds = nowSeconds();
      const result = await execute(op);
      send({ id, startSeconds, endSeconds: nowSeconds(), result });
    } catch (error) {
      send({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  };
  let last: Promise<void> = Promise.resolve();
  port?.on('message', (request: WorkerRequest) => {
    last = last.then(() => serve(request)); // in order, though some ops await
  });
  send({ id: -1, ready: true });
}

main().catch((error) => {
  throw error;
});
