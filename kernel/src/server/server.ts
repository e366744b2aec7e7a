/** What comes from the sockets, one after another: cells wait for each other, all else is answered at once. */

import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from '@specoffload/input';
import { NotebookError } from '../errors.js';
import type { JsonObject } from '../json.js';
import { createRequest, createResponse, encodeMessage, type Message } from '../wire/message.js';
import type { Handler } from './handler.js';
import { asKernel, enterKernel, interruptCells, leaveKernel } from './interruption.js';
import type { StreamCatcher } from './streams.js';
import type { FromWire, RequestChannel, Wire } from './wire-messages.js';

/** After a failure, requests that were sent together with the failed one have this long to arrive. */
const abortWindowMs = 20;

interface Waiting {
  readonly channel: RequestChannel;
  readonly request: Message;
}

export class KernelServer {
  readonly #wire: Wire;
  readonly #key: string;
  readonly #handler: Handler;
  readonly #streams: StreamCatcher;
  /** The latest cell's request: what is printed after its end still belongs to it. */
  #cell: Message | null = null;
  #isAtWork = false;
  #queue: Waiting[] = [];
  /** Where the cell under way waits for what somebody types. */
  #question: { answer(text: string): void; fail(error: Error): void } | null = null;

  constructor(wire: Wire, key: string, handler: Handler, streams: StreamCatcher) {
    this.#wire = wire;
    this.#key = key;
    this.#handler = handler;
    this.#streams = streams;
  }

  /** Returns when a front end asks for the end. */
  serve(): Promise<void> {
    this.#publish(createRequest('', '', {}), 'status', { execution_state: 'starting' });
    return new Promise((resolve) => {
      this.#wire.onMessage((message: FromWire) => {
        if (message.kind === 'request') this.#take(message);
        else if (message.kind === 'interrupt') this.#interrupt();
        else if (message.kind === 'ended') resolve();
      });
    });
  }

  /** Publishes as caused by the latest cell, unless that is to be silent. */
  publish(type: string, content: JsonObject): void {
    if (this.#cell !== null && this.#cell.content.silent !== true) this.#publish(this.#cell, type, content);
  }

  /** Has whoever runs the cell under way type a line. @throws NotebookError where nobody can */
  ask(prompt: string, isPassword: boolean): Promise<string> {
    const cell = this.#cell;
    if (cell === null || !this.#isAtWork)
      throw new NotebookError('no cell is under way that could ask for input; await the prompt in its cell');
    if (cell.content.allow_stdin !== true)
      throw new NotebookError(
        'nobody can type here (the front end does not allow stdin); run the notebook in one that does, or set a variable instead',
      );
    if (this.#question !== null)
      throw new NotebookError('another prompt waits for its answer; await each before the next');
    this.#streams.flush();
    const request = createResponse(cell, 'input_request', { prompt, password: isPassword });
    this.#send('stdin', request);
    return new Promise<string>((resolve, reject) => {
      this.#question = { answer: resolve, fail: reject };
    }).finally(() => {
      this.#question = null;
    });
  }

  #take(waiting: Waiting): void {
    const { request } = waiting;
    const type = request.header.msg_type;
    if (type === 'execute_request') {
      this.#queue.push(waiting);
      if (!this.#isAtWork) void this.#work();
    } else if (type === 'input_reply') this.#question?.answer(String(request.content.value ?? ''));
    else if (type.startsWith('comm_') && !type.endsWith('_request'))
      asKernel(() => this.#refuseComm(request));
    else asKernel(() => this.#answer(waiting));
  }

  #interrupt(): void {
    this.#wire.send({ kind: 'interrupted' });
    this.#question?.fail(new NotebookError('the cell was interrupted'));
    interruptCells();
  }

  #answer({ channel, request }: Waiting): void {
    this.#publish(request, 'status', { execution_state: 'busy' });
    const { type, content } = this.#handler.answer(request.header.msg_type, request.content);
    this.#send(channel, createResponse(request, type, content));
    this.#publishIdle(request);
  }

  /** Whoever asked is served; a cell that runs meanwhile keeps the kernel busy, which a page learns that has just come. */
  #publishIdle(request: Message): void {
    this.#publish(request, 'status', { execution_state: 'idle' });
    if (this.#isAtWork && this.#cell !== null)
      this.#publish(this.#cell, 'status', { execution_state: 'busy' });
  }

  /** No widget of this kernel has another side: whoever opens one hears that it is closed. */
  #refuseComm(request: Message): void {
    const { msg_type: type } = request.header;
    const { comm_id, target_name } = request.content;
    this.#publish(request, 'status', { execution_state: 'busy' });
    if (type === 'comm_open')
      this.#publish(request, 'comm_close', { comm_id, data: { reason: 'unknown target', target_name } });
    this.#publishIdle(request);
  }

  /** Runs what waits until nothing does. */
  async #work(): Promise<void> {
    this.#isAtWork = true;
    enterKernel();
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      // What a cell has done to this realm (to JSON, say) may fail the kernel's own work: the next one may still run.
      await this.#run(next).catch((error) => writeSync(2, `${reasonOf(error)}\n`));
    }
    leaveKernel();
    this.#isAtWork = false;
  }

  async #run({ channel, request }: Waiting): Promise<void> {
    this.#publish(request, 'status', { execution_state: 'busy' });
    const content = await this.#execute(request);
    const hasStopped = content.status === 'error' && request.content.stop_on_error !== false;
    const batch = hasStopped ? await this.#takeBatch() : [];
    this.#finish(channel, request, content);
    for (const left of batch) {
      this.#publish(left.request, 'status', { execution_state: 'busy' });
      this.#finish(left.channel, left.request, { status: 'aborted' });
    }
  }

  async #execute(request: Message): Promise<JsonObject> {
    this.#streams.begin();
    this.#cell = request;
    const content = await this.#handler.execute(request.content, (type, published) => {
      this.#streams.flush();
      this.#publish(request, type, published);
    });
    this.#streams.flush();
    return content;
  }

  /** What was sent together with a cell that failed is not run: it may have counted on it. */
  async #takeBatch(): Promise<Waiting[]> {
    await sleep(abortWindowMs);
    return this.#queue.splice(0);
  }

  #finish(channel: RequestChannel, request: Message, content: JsonObject): void {
    this.#send(channel, createResponse(request, 'execute_reply', content));
    this.#publish(request, 'status', { execution_state: 'idle' });
  }

  #publish(cause: Message, type: string, content: JsonObject): void {
    const message = createResponse(cause, type, content);
    const frames = encodeMessage({ ...message, identities: [Buffer.from(type)] }, this.#key);
    this.#wire.send({ kind: 'send', channel: 'iopub', frames });
  }

  #send(channel: RequestChannel, message: Message): void {
    this.#wire.send({ kind: 'send', channel, frames: encodeMessage(message, this.#key) });
  }
}
