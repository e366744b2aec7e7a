/** A front end's five channels: requests go out, replies and what a request published come back to who asked. */

import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JsonObject } from '../json.js';
import { addressOf, type ConnectionInfo } from './connection.js';
import { createRequest, decodeMessage, encodeMessage, type Message } from './message.js';

type ZeroMq = typeof import('zeromq');
type Dealer = InstanceType<ZeroMq['Dealer']>;

export interface Exchange {
  readonly reply: Message;
  /** Whether the kernel has said `idle`: until then more output may come. */
  readonly isSettled: boolean;
}

interface Pending {
  readonly onPublished: (message: Message) => void;
  readonly resolve: (exchange: Exchange) => void;
  readonly reject: (error: Error) => void;
  reply: Message | null;
  isIdle: boolean;
  timer?: NodeJS.Timeout;
}

/** After a reply, what the request published has this long to arrive, beginning anew with every message. */
const settleMs = 4000;
const beatMs = 1000;

export class KernelClient {
  readonly #key: string;
  readonly #session = randomUUID();
  readonly #sockets: ReturnType<typeof createSockets>;
  readonly #pending = new Map<string, Pending>();
  readonly #onLate: (message: Message) => void;
  #sending: Promise<unknown> = Promise.resolve();
  #ended: Error | null = null;
  #lastBeatMs = performance.now();

  private constructor(connection: ConnectionInfo, zmq: ZeroMq, onLate: (message: Message) => void) {
    this.#onLate = onLate;
    this.#key = connection.key;
    this.#sockets = createSockets(zmq);
    const { shell, control, stdin, iopub, hb } = this.#sockets;
    for (const [name, socket] of Object.entries({ shell, control, stdin, iopub, hb }))
      socket.connect(addressOf(connection, name as 'shell'));
    iopub.subscribe();
    for (const socket of [shell, control, stdin, iopub]) void this.#receive(socket);
    void this.#beat();
  }

  /** @param onLate hears what belongs to a request that is settled already. */
  static async connect(
    connection: ConnectionInfo,
    onLate: (message: Message) => void = () => {},
  ): Promise<KernelClient> {
    return new KernelClient(connection, await import('zeromq'), onLate);
  }

  /** How long the kernel has been deaf. One that computes without a pause is deaf too. */
  get silentSeconds(): number {
    return (performance.now() - this.#lastBeatMs) / 1000;
  }

  /** @returns when the reply is here and all that the request published. */
  request(
    channel: 'shell' | 'control',
    type: string,
    content: JsonObject,
    onPublished: (message: Message) => void = () => {},
  ): Promise<Exchange> {
    const message = createRequest(type, this.#session, content);
    return new Promise((resolve, reject) => {
      if (this.#ended !== null) return reject(this.#ended);
      const pending = { onPublished, resolve, reject, reply: null, isIdle: false };
      this.#pending.set(message.header.msg_id, pending);
      // One send at a time: a socket refuses a second one while the first waits for the kernel to connect.
      this.#sending = this.#sending
        .then(() => this.#sockets[channel].send(encodeMessage(message, this.#key)))
        .catch((error: Error) => this.#settle(message.header.msg_id, error));
    });
  }

  /** Fails what is pending and closes the sockets. */
  end(error: Error): void {
    if (this.#ended !== null) return;
    this.#ended = error;
    for (const id of [...this.#pending.keys()]) this.#settle(id, error);
    for (const socket of Object.values(this.#sockets)) socket.close();
  }

  async #receive(socket: Dealer | InstanceType<ZeroMq['Subscriber']>): Promise<void> {
    for await (const frames of socket) {
      const message = this.#decode(frames);
      if (message !== null) this.#dispatch(message);
    }
  }

  /** Who does not know the key is not the kernel: its messages count for nothing. */
  #decode(frames: Uint8Array[]): Message | null {
    try {
      return decodeMessage(frames, this.#key);
    } catch {
      return null;
    }
  }

  /** Ends when the socket is closed: that fails what it waits for. */
  async #beat(): Promise<void> {
    const { hb } = this.#sockets;
    try {
      while (this.#ended === null) {
        await hb.send('ping');
        await hb.receive();
        this.#lastBeatMs = performance.now();
        await sleep(beatMs, undefined, { ref: false });
      }
    } catch (error) {
      if (this.#ended === null) throw error;
    }
  }

  #dispatch(message: Message): void {
    const id = message.parent?.msg_id ?? '';
    const pending = this.#pending.get(id);
    if (pending === undefined) {
      this.#onLate(message);
      return;
    }
    const { msg_type: type } = message.header;
    if (type.endsWith('_reply')) pending.reply = message;
    else if (type === 'status') pending.isIdle ||= message.content.execution_state === 'idle';
    pending.onPublished(message);
    if (pending.reply === null) return;
    clearTimeout(pending.timer);
    if (pending.isIdle) this.#settle(id, null);
    else pending.timer = setTimeout(() => this.#settle(id, null), settleMs);
  }

  #settle(id: string, error: Error | null): void {
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (error !== null) pending.reject(error);
    else pending.resolve({ reply: pending.reply!, isSettled: pending.isIdle });
  }
}

/** Nothing that is unsent keeps the process alive. */
function createSockets(zmq: ZeroMq) {
  return {
    shell: new zmq.Dealer({ linger: 0 }),
    control: new zmq.Dealer({ linger: 0 }),
    stdin: new zmq.Dealer({ linger: 0 }),
    iopub: new zmq.Subscriber({ linger: 0 }),
    hb: new zmq.Request({ linger: 0 }),
  } as const;
}
