/**
 * This machine: worker threads for the link, the host and the device, a native streamer for the disk, the wall
 * clock. The main thread only passes messages.
 */

import type { Worker } from 'node:worker_threads';
import { UserError } from '@specoffload/input';
import { loadNativeCore, type NativeCore, type Streamer, type StreamFile } from '@specoffload/native';
import type { Arithmetic } from '../machine/arithmetic.js';
import { noCaps } from '../machine/caps.js';
import { nowSeconds } from '../machine/clock.js';
import type { Device, DeviceFacts } from '../machine/device.js';
import { type DeviceChoice, openDevice } from '../machine/devices.js';
import type { HostReach } from '../machine/host-reach.js';
import { PoolMemory } from '../machine/pool.js';
import type { ProductNoise } from '../machine/product-noise.js';
import { RaplCounters } from '../machine/rapl.js';
import type { MemoryPlan } from '../schedule/memory-plan.js';
import type { LoadOp, LookUpOp, Op } from '../schedule/ops.js';
import type { Task } from '../schedule/task.js';
import { type LaneName, localTopology } from '../topology/topology.js';
import { SentConstants } from './constants.js';
import { prefillCoresOf } from './cores.js';
import { DeviceMeter } from './device-meter.js';
import { EnergyMeter } from './energy-meter.js';
import { touch, writeRopeTables, writeRouters, writeSinks } from './host-tables.js';
import type {
  LaneWorkerData,
  SentEnd,
  SentRequest,
  WorkerLane,
  WorkerMessage,
  WorkerReply,
} from './lane-protocol.js';
import { endThread, keepThread, takeThread } from './lane-threads.js';
import type { Machine, MachineLane, TaskListener, TaskOutcome } from './machine.js';
import { NotFiniteError } from './not-finite.js';
import { defaultReadsInFlight, type MachineSettings } from './types.js';
import { describeModel } from './worker-model.js';

interface Pending {
  readonly task: Task;
  readonly listener: TaskListener;
}

/** What an idle thread may keep of the run before. */
const littleBytes = 64 * 2 ** 20;

export class LocalMachine implements Machine {
  // A task that is ready may wait inside the lane, so that no time is lost on messages between two. The device has a
  // place more: a draft step that is under way lets target work in between its layers, of which two tasks may wait.
  readonly lanes = lanesOf({ disk: 3, link: 3, host: 2, device: 3 });
  readonly core: NativeCore;
  readonly #host: PoolMemory;
  readonly #device: Device;
  readonly #streamer: Streamer;
  readonly #files = new Map<string, StreamFile>();
  readonly #workers = new Map<WorkerLane, Worker>();
  readonly #sent = new Map<WorkerLane, SentConstants>();
  readonly #pending = new Map<number, Pending>();
  /** A thread has failed. */
  #isBroken = false;
  /** The twin's memory is freed only when its threads end or next collect garbage, so large runs do not keep threads. */
  #leavesLittle = true;
  /** What the device did and drew. */
  readonly meter: DeviceMeter;
  readonly energyMeter = new EnergyMeter(RaplCounters.open());
  #originSeconds = 0;

  private constructor(core: NativeCore, host: PoolMemory, device: Device, streamer: Streamer) {
    this.core = core;
    this.#host = host;
    this.#device = device;
    this.meter = new DeviceMeter(device.openPowerMeter?.() ?? null);
    this.#streamer = streamer;
  }

  /** Takes the planned memory and starts the lanes. */
  static async create(
    plan: MemoryPlan,
    settings: MachineSettings,
    choice?: DeviceChoice,
    productNoise?: ProductNoise,
  ): Promise<LocalMachine> {
    const core = loadNativeCore(settings.native ?? 'auto');
    const host = PoolMemory.create(core, plan.pools.host);
    const device = await openDevice(choice, {
      ...{ core, memory: plan.pools.device, host: host.handles },
      formats: plan.target.formats,
      models: {
        target: plan.target.checkpoint.spec,
        draft: plan.draft?.checkpoint.spec ?? null,
      },
      threads: settings.deviceCores ?? 1,
      productNoise,
      prefillThreads: prefillCoresOf(settings),
    });
    const machine = new LocalMachine(
      core,
      host,
      device,
      core.createStreamer({
        readsInFlight: settings.readsInFlight ?? defaultReadsInFlight,
        bytesPerSecondCap: settings.caps?.diskBytesPerSecond ?? null,
      }),
    );
    const poolBytes = plan.pools.host.allocatedBytes + plan.pools.device.allocatedBytes;
    machine.#leavesLittle = core.kind === 'native' || poolBytes <= littleBytes;
    for (const { regions } of Object.values(plan.slots.host)) touch(regions, machine.#host);
    writeRopeTables(plan.target, plan.target.rope.host, machine.#host);
    try {
      await writeSinks(plan.target, machine.#host);
      await writeRouters(plan.target, machine.#host);
      await machine.#startWorkers(plan, settings);
    } catch (error) {
      await machine.close();
      throw error;
    }
    machine.restartClock();
    return machine;
  }

  /** Whether every file opened so far bypasses the page cache. */
  get readsDirectly(): boolean {
    return [...this.#files.values()].every(({ direct }) => direct);
  }

  get deviceFacts(): DeviceFacts {
    return this.#device.facts;
  }

  get deviceReach(): HostReach | null {
    return this.#device.reach;
  }

  /** How the device rounds. */
  get arithmetic(): Arithmetic {
    return this.#device.arithmetic;
  }

  now(): number {
    return nowSeconds() - this.#originSeconds;
  }

  /** Makes now the time 0. */
  restartClock(): void {
    this.#originSeconds = nowSeconds();
  }

  start(task: Task, slot: number, readySeconds: number, listener: TaskListener): void {
    const op: Op = task.createOp(slot);
    if (op.kind === 'load' || op.kind === 'look-up') {
      (op.kind === 'load' ? this.#load(op) : lookUp(op)).then(
        (outcome) => listener.ended(task, this.#onOurClock(outcome)),
        (error) => listener.failed(task, error),
      );
      return;
    }
    this.#pending.set(task.id, { task, listener });
    const lane = task.lane as WorkerLane;
    const constant = this.#sent.get(lane)?.pack(op);
    const request: SentRequest = [task.id, op, task.phase, this.#originSeconds + readySeconds, constant];
    this.#workers.get(lane)?.postMessage(request);
  }

  /** Ends the lanes and gives the memory back. */
  async close(): Promise<void> {
    // A thread that is still at work cannot serve another run.
    const isReusable = !this.#isBroken && this.#pending.size === 0 && this.#leavesLittle;
    await Promise.all(
      [...this.#workers].map(([lane, thread]) => (isReusable ? keepThread(lane, thread) : endThread(thread))),
    );
    this.#workers.clear();
    await this.#streamer.close();
    this.meter.close();
    this.energyMeter.close();
    await this.#device.close();
    this.#host.release();
  }

  async #load({ ranges }: LoadOp): Promise<TaskOutcome> {
    // One group is placed in one piece, so all its ranges go to the same arena.
    const { arena } = this.#host.locate(ranges[0].hostOffset);
    const { startSeconds, endSeconds } = await this.#streamer.read(
      ranges.map(({ path, fileOffset, byteLength, hostOffset }) => ({
        file: assertReaches(this.#open(path), fileOffset),
        fileOffset,
        byteLength,
        arenaOffset: this.#host.locate(hostOffset).offset,
      })),
      arena,
    );
    return { startSeconds, endSeconds, result: null };
  }

  #open(path: string): StreamFile {
    let file = this.#files.get(path);
    if (!file) {
      file = this.#streamer.open(path);
      this.#files.set(path, file);
    }
    return file;
  }

  #onOurClock({ startSeconds, endSeconds, result }: TaskOutcome): TaskOutcome {
    return {
      startSeconds: startSeconds - this.#originSeconds,
      endSeconds: endSeconds - this.#originSeconds,
      result,
    };
  }

  async #startWorkers(plan: MemoryPlan, settings: MachineSettings): Promise<void> {
    const shared = {
      core: this.core.kind,
      host: this.#host.handles,
      landing: Object.values(plan.slots.device).flatMap(({ regions }) => regions),
      caps: { ...noCaps, ...settings.caps },
      target: describeModel(plan.target, false),
      draft: plan.draft && describeModel(plan.draft, true),
      isDraftLate: plan.target.firstDecodeFrame > 0,
    };
    const queues = {
      ...{ link: this.#device.handOver('copy'), device: this.#device.handOver('compute'), host: null },
    };
    const threads = settings.hostCores ?? 1;
    await Promise.all(
      (Object.keys(queues) as WorkerLane[]).map((lane) =>
        this.#startWorker({ ...shared, lane, threads, queue: queues[lane] }),
      ),
    );
  }

  #startWorker(data: LaneWorkerData): Promise<void> {
    const { lane, queue } = data;
    const worker = takeThread(lane);
    this.#workers.set(lane, worker);
    this.#sent.set(lane, new SentConstants());
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        this.#isBroken = true;
        reject(error.name === 'UserError' ? new UserError(error.message) : error); // classes stay in their thread
        this.#failAll(new Error(`the ${lane} lane failed: ${error.message}`, { cause: error }));
      };
      worker.on('error', fail);
      worker.on('exit', (code) => fail(new Error(`its thread ended with code ${code}`)));
      worker.on('message', (reply: WorkerReply) => {
        if ('length' in reply) this.#end(lane, reply);
        else if ('ready' in reply) resolve();
        else if ('id' in reply) this.#fail(lane, reply);
      });
      worker.postMessage({ open: data } satisfies WorkerMessage, queue?.transfer);
    });
  }

  #end(lane: LaneName, [id, startSeconds, endSeconds, result, work]: SentEnd): void {
    if (work) this.meter.count(lane === 'link' ? 'copy' : 'compute', work);
    const pending = this.#take(id);
    pending?.listener.ended(pending.task, this.#onOurClock({ startSeconds, endSeconds, result }));
  }

  #fail(lane: LaneName, reply: Extract<WorkerReply, { error: string }>): void {
    const pending = this.#take(reply.id);
    pending?.listener.failed(pending.task, failureOf(lane, reply));
  }

  #take(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    return pending;
  }

  #failAll(error: Error): void {
    for (const { task, listener } of this.#pending.values()) listener.failed(task, error);
    this.#pending.clear();
  }
}

/** @param widths by lane */
function lanesOf(widths: Readonly<Record<LaneName, number>>): readonly MachineLane[] {
  return localTopology.lanes.map((lane) => ({
    ...lane,
    width: widths[lane.name],
    keepsOrder: lane.name === 'device',
  }));
}

function failureOf(
  lane: LaneName,
  { error, isForUser, notFinite }: Extract<WorkerReply, { error: string }>,
): Error {
  if (notFinite) return new NotFiniteError(notFinite);
  return isForUser ? new UserError(error) : new Error(`the ${lane} lane failed: ${error}`);
}

/** @throws UserError when the file has been cut short since its header was read. */
function assertReaches(file: StreamFile, fileOffset: number): StreamFile {
  if (fileOffset < file.byteLength) return file;
  throw new UserError(
    `${file.path} ends at byte ${file.byteLength}, before weights that its header places at ${fileOffset}; the file was cut short since it was opened, download it again`,
  );
}

async function lookUp({ work }: LookUpOp): Promise<TaskOutcome> {
  const startSeconds = nowSeconds();
  const result = work();
  return { startSeconds, endSeconds: nowSeconds(), result };
}
