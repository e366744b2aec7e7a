/** A lane's thread: takes one op at a time, in its queue's order, and says when it really began and ended. */

import { setImmediate } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { type LinkSlot, loadNativeCore, Pacer } from '@specoffload/native';
import { CpuDevice } from '../machine/cpu-device.js';
import type { ExpertWeights } from '../machine/device.js';
import { PoolMemory } from '../machine/pool.js';
import { alignUp, tensorAlignmentBytes } from '../schedule/group-layout.js';
import { ffnChunkRows, type HostExpertRegions } from '../schedule/memory-plan.js';
import type {
  AttentionOp,
  CacheOp,
  HostExpertOp,
  StoredTensor,
  UploadOp,
  WorkerOp,
} from '../schedule/ops.js';
import type { LaneWorkerData, WorkerReply, WorkerRequest } from './lane-protocol.js';
import { type GiveWay, LaneQueue } from './lane-queue.js';
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

/** What an op needs to know of its turn on the lane. */
interface Turn {
  readonly giveWay: GiveWay;
  readonly askedSeconds: number;
  /** Says when the lane was taken, where that is not simply while the op was executed. */
  readonly occupy: (slot: LinkSlot) => void;
}

type Execute = (op: WorkerOp, turn: Turn) => Promise<unknown> | unknown;

async function createDeviceLane(): Promise<Execute> {
  const target = new LayerKernels(device, await device.createModel(data.target.config), data.target);
  const draft =
    data.draft && new LayerKernels(device, await device.createModel(data.draft.config), data.draft);
  return async (op, { giveWay }) => {
    switch (op.kind) {
      case 'embed':
        return target.embed(op.frame, op.ids);
      case 'project':
        await target.project(op.frame, op.layer, op.rows, op.weights);
        return target.readBackProjections(op.frame, op.rows);
      case 'mix':
        target.uploadAttention(op.frame, op.rows);
        return target.mix(op.frame, op.layer, op.rows, op.weights, op.wantsRouting);
      case 'device-attention':
        return target.attend(op);
      case 'expert':
        return target.expert(op.frame, op.layer, op.expert, op.weights);
      case 'merge':
        return target.merge(op.frame, op.layer, op.expert);
      case 'head':
        return target.head(op.frame, op.rowIndices, op.wantsLogits);
      case 'draft':
        return { ids: await draft?.draftStep(op, giveWay) };
      default:
        throw new Error(`the device lane cannot ${op.kind}`);
    }
  };
}

async function createHostLane(): Promise<Execute> {
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
  const experts = data.target.hostExperts && (await createHostExperts(data.target.hostExperts));
  return (op) => {
    if (op.kind === 'attention') return attend(op);
    if (op.kind === 'host-expert' && experts) return experts(op);
    throw new Error(`the host lane cannot ${op.kind}`);
  };
}

/** Experts with the arithmetic of the device, on host memory: the same graph rounds the same way. */
async function createHostExperts({ gathered, weights: widened }: HostExpertRegions) {
  const { config, frames } = data.target;
  const { hiddenSize } = config;
  const processor = new CpuDevice({ core, host: hostMemory, device: hostMemory, threads: data.threads });
  const model = await processor.createModel(config);
  const widen = (weights: HostExpertOp['weights']): ExpertWeights => {
    if (!widened) throw new Error('the host lane needs room to widen weights in');
    let address = widened.byteOffset;
    const place = ({ source, dtype, count }: StoredTensor) => {
      const target = address;
      processor.widen(source, dtype, count, target);
      address += alignUp(count * 4, tensorAlignmentBytes);
      return target;
    };
    return { gate: place(weights.gate), up: place(weights.up), down: place(weights.down) };
  };
  return async ({ frame, indices, weights }: HostExpertOp) => {
    const { hostExperts } = frames[frame];
    if (!hostExperts) throw new Error('a frame without host buffers cannot be computed on the host');
    const expert = widen(weights);
    let out = hostExperts.out.byteOffset;
    for (let start = 0; start < indices.length; start += ffnChunkRows) {
      const chunk = indices.subarray(start, start + ffnChunkRows);
      processor.gatherRows(hostExperts.normed.byteOffset, chunk, hiddenSize, gathered.byteOffset);
      await model.feedForward(gathered.byteOffset, chunk.length, expert, out);
      out += chunk.length * hiddenSize * 4;
    }
  };
}

/**
 * Copies at once and then waits until a link with the cap would have carried as much. The wait may end late, by the
 * system's timer and by whoever has the core; the next transfer's slice of the link begins where this one's ended.
 */
function createLinkLane(): Execute {
  const cap = data.linkBytesPerSecondCap;
  const pacer = cap === null ? null : new Pacer(cap);
  let lastEndSeconds = 0;
  return (op, { askedSeconds, occupy }) => {
    if (op.kind !== 'upload' && op.kind !== 'fetch' && op.kind !== 'store')
      throw new Error(`the link lane cannot ${op.kind}`);
    const beganSeconds = nowSeconds();
    const bytes = op.kind === 'upload' ? upload(op) : moveCache(op);
    if (pacer === null) return;
    const slot = pacer.reserve(bytes, askedSeconds, beganSeconds);
    const startSeconds = Math.max(slot.startSeconds, lastEndSeconds);
    lastEndSeconds = Math.max(slot.endSeconds, nowSeconds());
    sleepUntil(slot.endSeconds);
    occupy({ startSeconds, endSeconds: lastEndSeconds });
  };
}

/** @returns bytes that crossed */
function upload({ pieces, bytes }: UploadOp): number {
  for (const { source, dtype, count, target } of pieces) device.widen(source, dtype, count, target);
  return bytes;
}

/** @returns bytes that crossed */
function moveCache({ kind, host, device: buffer, stretches }: CacheOp): number {
  let elements = 0;
  for (let i = 0; i < stretches.length; i += 3) {
    const [inHost, inBuffer, count] = stretches.subarray(i, i + 3);
    if (kind === 'fetch') device.upload(host + inHost * 4, buffer + inBuffer * 4, count);
    else device.readBack(buffer + inBuffer * 4, host + inHost * 4, count);
    elements += count;
  }
  return elements * 4;
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
  const serve = async ({ id, op, askedSeconds }: WorkerRequest, giveWay: GiveWay) => {
    try {
      const startSeconds = nowSeconds();
      let occupied: LinkSlot | null = null;
      const occupy = (slot: LinkSlot) => {
        occupied = slot;
      };
      const result = await execute(op, { giveWay, askedSeconds, occupy });
      send({ id, ...(occupied ?? { startSeconds, endSeconds: nowSeconds() }), result });
    } catch (error) {
      send({ id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
  };
  const queue = new LaneQueue<WorkerRequest>({
    serve,
    isDivisible: ({ op }) => op.kind === 'draft',
    receive: setImmediate,
  });
  port?.on('message', (request: WorkerRequest) => queue.push(request));
  send({ id: -1, ready: true });
}

main().catch((error) => {
  throw error;
});
