/**
 * The thread that holds the kernel's sockets. Cells run in the other one, so that heartbeats, interrupts and the end of
 * the kernel are answered here at once, whatever a cell does.
 */

import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { reasonOf } from '@specoffload/input';
import type { JsonObject } from '../json.js';
import { addressOf, type ChannelName, type ConnectionInfo } from '../wire/connection.js';
import { createResponse, decodeMessage, encodeMessage, type Message } from '../wire/message.js';
import { startSignalWatch } from './signal-watch.js';
import { Terminator } from './terminator.js';
import {
  type FromWire,
  type RequestChannel,
  sizeOfFrames,
  type ToWire,
  type WireData,
} from './wire-messages.js';

type ZeroMq = typeof import('zeromq');
type Sockets = ReturnType<typeof createSockets>;
type Router = InstanceType<ZeroMq['Router']>;

/** A thread that is free answers an interrupt in a fraction of this. */
const promptMs = 200;
/** After so many of these an interrupt that has not been obeyed is said to be in vain. */
const mostAttempts = 7;
/** What the other thread has to end in, when a front end asks for the end. */
const endMs = 1500;

const cannotStop =
  'This cell is in code that cannot be interrupted: a program or a library that it waits for, or a callback that ' +
  'computes without a pause. Restart the kernel, or wait until that code is done: the cell ends then.\n';

class WireThread {
  readonly #connection: ConnectionInfo;
  readonly #unsentBytes: Int32Array;
  readonly #sockets: Sockets;
  readonly #terminator = new Terminator();
  readonly #sending = new Map<RequestChannel, Promise<unknown>>();
  /** The latest cell's request: what is said about interrupts belongs to it. */
  #cell: Message | null = null;
  #interrupting: Promise<boolean> | null = null;
  #onInterrupted: (() => void) | null = null;

  constructor({ connection, unsentBytes }: WireData, zmq: ZeroMq) {
    this.#connection = connection;
    this.#unsentBytes = unsentBytes;
    this.#sockets = createSockets(zmq);
  }

  async run(): Promise<void> {
    const entries = Object.entries(this.#sockets) as [ChannelName, Router][];
    await Promise.all(entries.map(([name, socket]) => socket.bind(addressOf(this.#connection, name))));
    parentPort!.on('message', (message: ToWire) => this.#obey(message));
    startSignalWatch(() => void this.#interrupt());
    post({ kind: 'bound' });
    void this.#echoHeartbeats();
    const channels: RequestChannel[] = ['shell', 'control', 'stdin'];
    await Promise.race(channels.map((channel) => this.#serve(channel)));
    await this.#end();
  }

  /** Returns when a front end has asked for the end. */
  async #serve(channel: RequestChannel): Promise<void> {
    for await (const frames of this.#sockets[channel]) {
      const request = this.#decode(frames);
      if (request === null) continue;
      const type = request.header.msg_type;
      if (type === 'shutdown_request') {
        const restart = request.content.restart === true;
        return this.#answer(channel, request, { status: 'ok', restart });
      }
      if (type === 'interrupt_request') void this.#answerInterrupt(channel, request);
      else {
        if (type === 'execute_request') this.#cell = request;
        post({ kind: 'request', channel, request });
      }
    }
  }

  /** A message that nobody can read, or that this kernel's key did not sign, is none of its business. */
  #decode(frames: Uint8Array[]): Message | null {
    try {
      return decodeMessage(frames, this.#connection.key);
    } catch (error) {
      writeSync(2, `${reasonOf(error)}\n`);
      return null;
    }
  }

  #obey(message: ToWire): void {
    if (message.kind === 'interrupted') this.#onInterrupted?.();
    else if (message.channel === 'iopub') {
      this.#publishFrames(message.frames);
      Atomics.sub(this.#unsentBytes, 0, sizeOfFrames(message.frames));
      Atomics.notify(this.#unsentBytes, 0);
    } else void this.#send(message.channel, message.frames);
  }

  async #answerInterrupt(channel: RequestChannel, request: Message): Promise<void> {
    const isObeyed = await this.#interrupt();
    const evalue = cannotStop.trim();
    const failure = { status: 'error', ename: 'NotInterruptible', evalue, traceback: [evalue] };
    await this.#answer(channel, request, isObeyed ? { status: 'ok' } : failure);
  }

  /** @returns whether the cells' thread has heard it. Several that come together are one. */
  async #interrupt(): Promise<boolean> {
    this.#interrupting ??= this.#interruptOnce().finally(() => {
      this.#interrupting = null;
    });
    return this.#interrupting;
  }

  async #interruptOnce(): Promise<boolean> {
    let isHeard = false;
    const heard = new Promise<void>((resolve) => {
      this.#onInterrupted = () => {
        isHeard = true;
        resolve();
      };
    });
    post({ kind: 'interrupt' });
    await Promise.race([heard, sleep(promptMs)]);
    // Counted rather than timed: on a busy machine all the time may be over before the first.
    for (let attempt = 1; !isHeard && attempt <= mostAttempts; attempt++) {
      this.#terminator.tryTerminate(() => isHeard);
      await Promise.race([heard, sleep(promptMs)]);
    }
    if (isHeard) this.#terminator.rest();
    else if (this.#cell !== null) this.#publish(this.#cell, 'stream', { name: 'stderr', text: cannotStop });
    return isHeard;
  }

  async #answer(channel: RequestChannel, request: Message, content: JsonObject): Promise<void> {
    this.#publish(request, 'status', { execution_state: 'busy' });
    const type = request.header.msg_type.replace(/_request$/, '_reply');
    const reply = createResponse(request, type, content);
    await this.#send(channel, encodeMessage(reply, this.#connection.key));
    this.#publish(request, 'status', { execution_state: 'idle' });
  }

  #publish(cause: Message, type: string, content: JsonObject): void {
    const message = { ...createResponse(cause, type, content), identities: [Buffer.from(type)] };
    this.#publishFrames(encodeMessage(message, this.#connection.key));
  }

  #publishFrames(frames: readonly (Uint8Array | string)[]): void {
    // A publisher never waits, so there is nothing to wait for.
    this.#sockets.iopub.send([...frames]).catch(say);
  }

  /** One at a time: a socket refuses a second send while the first waits. */
  async #send(channel: RequestChannel, frames: readonly (Uint8Array | string)[]): Promise<void> {
    const sent = (this.#sending.get(channel) ?? Promise.resolve())
      .then(() => this.#sockets[channel].send([...frames]))
      .catch(say);
    this.#sending.set(channel, sent);
    await sent;
  }

  async #echoHeartbeats(): Promise<void> {
    const { hb } = this.#sockets;
    for await (const beat of hb) await hb.send(beat);
  }

  /** A kernel that has been asked to end does, whatever its cells are at. */
  async #end(): Promise<void> {
    this.#terminator.close();
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), endMs);
    for (const socket of Object.values(this.#sockets)) socket.close();
    post({ kind: 'ended' });
  }
}

function createSockets(zmq: ZeroMq) {
  // A front end that comes back, under the name that it had, gets its answers.
  const router = () => new zmq.Router({ handover: true });
  return {
    shell: router(),
    control: router(),
    stdin: router(),
    // Without a limit: a publisher that has reached its limit drops messages, among them the one that ends a cell.
    // Without a timeout: then a send is done when it returns, however many there are in one turn of the event loop.
    iopub: new zmq.Publisher({ sendHighWaterMark: 0, sendTimeout: 0 }),
    hb: new zmq.Reply(),
  } as const;
}

function post(message: FromWire): void {
  parentPort!.postMessage(message);
}

function say(error: unknown): void {
  writeSync(2, `${reasonOf(error)}\n`);
}

/** Only where the starter says so, as Jupyter does: a kernel started by hand may be left alone on purpose. */
function endWithParent({ starterPid }: WireData): void {
  if (process.env.JPY_PARENT_PID === undefined) return;
  const parentPid = starterPid ?? process.ppid;
  const endIfAlone = () => {
    if (process.ppid !== parentPid) process.kill(process.pid, 'SIGKILL');
  };
  endIfAlone(); // the starter may have ended before this thread ran
  setInterval(endIfAlone, 1000).unref();
}

endWithParent(workerData as WireData);
import('zeromq')
  .then((zmq) => new WireThread(workerData as WireData, zmq).run())
  .catch((error) => post({ kind: 'failed', reason: reasonOf(error) }));
