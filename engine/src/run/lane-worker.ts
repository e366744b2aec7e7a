/** A lane's thread: takes its ops in order, and says when each really began and ended. */

import { setImmediate } from 'node:timers/promises';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { bytesPerElement, loadNativeCore } from '@specoffload/native';
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
import { NotFiniteError } from './not-finite.js';
import { PacedLane, type Work } from './paced-lane.js';

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

type Execute = (op: WorkerOp, giveWay: GiveWay) => Promise<unknown> | unknown;

async function createDeviceLane(): Promise<Execute> {
  const target = new LayerKernels(device, await device.createModel(data.target.config), data.target);
  const draft =
    data.draft && new LayerKernels(device, await device.createModel(data.draft.config), data.draft);
  return async (op, giveWay) => {
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

/** Moves what is to cross the link. */
function carry(op: WorkerOp): Work {
  if (op.kind === 'upload') return { seconds: upload(op) * secondsPer(data.caps.linkBytesPerSecondCap) };
  if (op.kind !== 'fetch' && op.kind !== 'store') throw new Error(`the link lane cannot ${op.kind}`);
  const { linkBytesPerSecondCap, linkCacheBytesPerSecondCap } = data.caps;
  // As the cost model has it: to the device cache goes at a rate of its own, from there as everything does.
  const ownCap = op.kind === 'fetch' ? linkCacheBytesPerSecondCap : null;
  return {
    seconds: moveCache(op) * Math.max(secondsPer(linkBytesPerSecondCap), secondsPer(ownCap)),
  };
}

/** Of a byte or an operation; 0 where nothing paces it. */
function secondsPer(cap: number | null): number {
  return cap === null ? 0 : 1 / cap;
}

/** @returns bytes that crossed */
function upload({ pieces }: UploadOp): number {
  let bytes = 0;
  for (const { source, dtype, count, target } of pieces) {
    device.widen(source, dtype, count, target);
    bytes += count * bytesPerElement[dtype];
  }
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
  if (data.lane === 'host') return createHostLane();
  return (op) => {
    carry(op);
  };
}

/** What is paced on this lane, or null where nothing is. */
async function createPacedLane(): Promise<((op: WorkerOp) => Work | Promise<Work>) | null> {
  const { linkBytesPerSecondCap, linkCacheBytesPerSecondCap } = data.caps;
  if (data.lane === 'link' && (linkBytesPerSecondCap ?? linkCacheBytesPerSecondCap) !== null) return carry;
  if (data.lane !== 'host' || !isHostPaced()) return null;
  const execute = await createHostLane();
  return async (op) => ({ result: await execute(op, async () => {}), seconds: hostSeconds(op) });
}

/** What the host's caps make of an op: attention is paced by the cache that it reads, an expert by its arithmetic. */
function hostSeconds(op: WorkerOp): number {
  if (op.kind === 'attention') return op.cacheBytes * secondsPer(data.caps.hostCacheBytesPerSecondCap);
  return op.kind === 'host-expert' ? expertSeconds(op) : 0;
}

/** As the cost model has it: bound by arithmetic, two operations for each weight and row, or by reading the weights. */
function expertSeconds({ indices, weights: { gate, up, down } }: HostExpertOp): number {
  const { hostFlopsPerSecondCap, hostWeightBytesPerSecondCap } = data.caps;
  const elements = gate.count + up.count + down.count;
  return Math.max(
    2 * indices.length * elements * secondsPer(hostFlopsPerSecondCap),
    elements * bytesPerElement.f32 * secondsPer(hostWeightBytesPerSecondCap),
  );
}

function isHostPaced(): boolean {
  const { hostCacheBytesPerSecondCap, hostFlopsPerSecondCap, hostWeightBytesPerSecondCap } = data.caps;
  return (hostCacheBytesPerSecondCap ?? hostFlopsPerSecondCap ?? hostWeightBytesPerSecondCap) !== null;
}

type Push = (request: WorkerRequest) => void;

/** One op after the other, as fast as it goes. */
async function openLane(send: (reply: WorkerReply) => void): Promise<Push> {
  const execute = await createLane();
  const serve = async ({ id, op }: WorkerRequest, giveWay: GiveWay) => {
    try {
      const startSeconds = nowSeconds();
      const result = await execute(op, giveWay);
      send({ id, startSeconds, endSeconds: nowSeconds(), result });
    } catch (error) {
      send(failureOf(id, error));
    }
  };
  const isDivisible = ({ op }: WorkerRequest) => op.kind === 'draft';
  const queue = new LaneQueue<WorkerRequest>({ serve, isDivisible, receive: setImmediate });
  return (request) => queue.push(request);
}

function openPacedLane(
  work: (op: WorkerOp) => Work | Promise<Work>,
  send: (reply: WorkerReply) => void,
): Push {
  const lane = new PacedLane<WorkerOp>({
    ...{ work, nowSeconds, sleepUntil, receive: setImmediate },
    deliver: (delivery) => send('error' in delivery ? failureOf(delivery.id, delivery.error) : delivery),
  });
  return (request) => lane.push(request);
}

function failureOf(id: number, error: unknown): WorkerReply {
  return {
    id,
    error: error instanceof Error ? (error.stack ?? error.message) : String(error),
    notFinite: error instanceof NotFiniteError ? error.place : null,
  };
}

async function main(messages: MessagePort): Promise<void> {
  const send = (reply: WorkerReply) => messages.postMessage(reply);
  const work = await createPacedLane();
  const push = work ? openPacedLane(work, send) : await openLane(send);
  messages.on('message', push);
  send({ id: -1, ready: true });
}

main(port).catch((error) => {
  throw error;
});
