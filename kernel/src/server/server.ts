/** The kernel's five sockets: requests come in, answers and publications go out, cells run one after another. */

import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../errors.js';
import type { JsonObject } from '../json.js';
import { addressOf, type ChannelName, type ConnectionInfo } from '../wire/connection.js';
import {
  createRequest,
  createResponse,
  decodeMessage,
  encodeMessage,
  type Message,
} from '../wire/message.js';
import type { Handler } from './handler.js';
import type { StreamCatcher } from './streams.js';

type ZeroMq = typeof import('zeromq');
type Router = InstanceType<ZeroMq['Router']>;

/** After a failure, requests that were sent together with the failed one have this long to arrive. */
const abortWindowMs = 20;

export class KernelServer {
  readonly #connection: ConnectionInfo;
  readonly #sockets: ReturnType<typeof createSockets>;
  /** The latest cell's request: what is printed after its end still belongs to it. */
  #cause: Message | null = null;
  #queue: Promise<void> = Promise.resolve();
  #numReceived = 0;
  /** Cells up to this one are not run, because one before them failed. */
  #abortedUpTo = 0;

  private constructor(connection: ConnectionInfo, zmq: ZeroMq) {
    this.#connection = connection;
    this.#sockets = createSockets(zmq);
  }

  /** @throws when a port is taken. */
  static async bind(connection: ConnectionInfo): Promise<KernelServer> {
    const server = new KernelServer(connection, await import('zeromq'));
    const entries = Object.entries(server.#sockets) as [ChannelName, Router][];
    await Promise.all(entries.map(([channel, socket]) => socket.bind(addressOf(connection, channel))));
    return server;
  }

  /** Publishes as caused by the latest cell. */
  publish(type: string, content: JsonObject): void {
    if (this.#cause !== null) this.#publish(this.#cause, type, content);
  }

  /** Returns when a front end asks for the end. */
  async serve(handler: Handler, streams: StreamCatcher): Promise<void> {
    this.#echoHeartbeats();
    this.#publish(createRequest('', '', {}), 'status', { execution_state: 'starting' });
    const { shell, control } = this.#sockets;
    await Promise.race([this.#serve(shell, handler, streams), this.#serve(control, handler, streams)]);
    for (const socket of Object.values(this.#sockets)) socket.close();
  }

  /** Takes requests until one asks for the end. */
  async #serve(socket: Router, handler: Handler, streams: StreamCatcher): Promise<void> {
    for await (const frames of socket) {
      const request = this.#decode(frames);
      if (request === null) continue;
      const type = request.header.msg_type;
      if (type === 'execute_request') this.#enqueue(socket, request, handler, streams);
      else await this.#answer(socket, request, handler);
      if (type === 'shutdown_request') return;
    }
  }

  /** A message that this kernel's key did not sign is none of its business. */
  #decode(frames: Uint8Array[]): Message | null {
    try {
      return decodeMessage(frames, this.#connection.key);
    } catch (error) {
      console.error(messageOf(error));
      return null;
    }
  }

  async #answer(socket: Router, request: Message, handler: Handler): Promise<void> {
    this.#publish(request, 'status', { execution_state: 'busy' });
    const answer = handler.answer(request.header.msg_type, request.content);
    if (answer !== null) await this.#send(socket, createResponse(request, answer.type, answer.content));
    this.#publish(request, 'status', { execution_state: 'idle' });
  }

  #enqueue(socket: Router, request: Message, handler: Handler, streams: StreamCatcher): void {
    const number = ++this.#numReceived;
    this.#queue = this.#queue.then(async () => {
      this.#publish(request, 'status', { execution_state: 'busy' });
      const content =
        number <= this.#abortedUpTo ? { status: 'aborted' } : await this.#execute(request, handler, streams);
      await this.#send(socket, createResponse(request, 'execute_reply', content));
      this.#publish(request, 'status', { execution_state: 'idle' });
    });
  }

  async #execute(request: Message, handler: Handler, streams: StreamCatcher): Promise<JsonObject> {
    streams.begin();
    this.#cause = request;
    const content = await handler.execute(request.content, (type, published) => {
      streams.flush();
      this.#publish(request, type, published);
    });
    streams.flush();
    if (content.status === 'error' && request.content.stop_on_error !== false) {
      await sleep(abortWindowMs);
      this.#abortedUpTo = this.#numReceived;
    }
    return content;
  }

  #publish(cause: Message, type: string, content: JsonObject): void {
    const message = createResponse(cause, type, content);
    // A publisher never waits, so there is nothing to wait for.
    void this.#sockets.iopub.send(
      encodeMessage({ ...message, identities: [Buffer.from(type)] }, this.#connection.key),
    );
  }

  async #send(socket: Router, message: Message): Promise<void> {
    await socket.send(encodeMessage(message, this.#connection.key));
  }

  async #echoHeartbeats(): Promise<void> {
    for await (const beat of this.#sockets.hb) await this.#sockets.hb.send(beat);
  }
}

function createSockets(zmq: ZeroMq) {
  return {
    shell: new zmq.Router(),
    control: new zmq.Router(),
    stdin: new zmq.Router(),
    // Without a limit: a publisher that has reached its limit drops messages, among them the one that ends a cell.
    // Without a timeout: then a send is done when it returns, however many there are in one turn of the event loop.
    iopub: new zmq.Publisher({ sendHighWaterMark: 0, sendTimeout: 0 }),
    hb: new zmq.Reply(),
  } as const;
}
