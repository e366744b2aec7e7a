/** The steps of a batch whose attention is split, where its parts need not wait for each other: APEX's overlap. */

import type { BatchParts } from '../schedule/batch-parts.js';
import type { Frame } from '../schedule/feeds.js';
import type { OpenPolicy } from '../schedule/policy.js';
import { decideStep, type LayerTimes, type SplitDecision } from '../schedule/split-rule.js';
import type { Routes } from '../topology/topology.js';
import type { Dispatcher } from './dispatcher.js';

/** Consecutive steps with one decision, in their order. */
export interface SplitSteps {
  readonly decision: SplitDecision;
  readonly steps: number;
}

export interface SplitterOptions {
  readonly policy: OpenPolicy;
  readonly routes: Routes;
  readonly numLayers: number;
  readonly dispatcher: Pick<Dispatcher, 'log'>;
  /** A pass of some frames, of which the first uses the buffers of that number. @returns the pass's number */
  readonly pass: (frames: readonly Frame[], firstFrame: number) => Promise<number>;
}

export class Splitter {
  readonly #options: SplitterOptions;
  readonly #times: SplitTimes;
  readonly #steps: { decision: SplitDecision; steps: number }[] = [];
  /** The host's pass under way. */
  #underWay: Promise<void> | null = null;

  constructor(options: SplitterOptions) {
    this.#options = options;
    this.#times = new SplitTimes(options);
  }

  get steps(): readonly SplitSteps[] {
    return this.#steps;
  }

  /** Sequences of the host's part are left alone while this is true. */
  get isHostBusy(): boolean {
    return this.#underWay !== null;
  }

  /** One step; ends when the device's part has, or, where there is none, the host's. */
  async step({ device, host }: BatchParts): Promise<void> {
    const decision = this.#decide({ device, host });
    this.#count(decision);
    if (decision === 'sub-batches') return this.#run([...device, ...host], 0);
    if (decision === 'asynchronous' && !this.#underWay && host.length > 0) {
      this.#underWay = this.#run(host, 1).finally(() => {
        this.#underWay = null;
      });
      this.#underWay.catch(() => {}); // whoever waits for it is told, if only by the next step
    }
    if (device.length > 0) await this.#run(device, 0);
    else await this.#underWay;
  }

  #decide({ device, host }: BatchParts): SplitDecision {
    const { overlap, leastOnHost } = this.#options.policy;
    if (overlap === 'sub-batches') throw new Error('parts that wait for each other need no steps');
    const situation = {
      ...{ numOnDevice: countSequences(device), numOnHost: countSequences(host) },
      ...{ isHostBusy: this.isHostBusy, promptRows: countPromptRows(device) },
    };
    return decideStep(overlap, leastOnHost, situation, this.#times.seen);
  }

  #count(decision: SplitDecision): void {
    const last = this.#steps.at(-1);
    if (last?.decision === decision) last.steps += 1;
    else this.#steps.push({ decision, steps: 1 });
  }

  async #run(frames: readonly Frame[], firstFrame: number): Promise<void> {
    const firstSpan = this.#options.dispatcher.log.length;
    const pass = await this.#options.pass(frames, firstFrame);
    const deviceFrames = firstFrame === 0 ? frames.slice(0, 1) : [];
    const hostFrames = firstFrame === 0 ? frames.slice(1) : frames;
    this.#times.learn(pass, firstSpan, deviceFrames, hostFrames);
  }
}

/** What one layer has last taken, from the spans of the passes so far. */
class SplitTimes {
  readonly #options: SplitterOptions;
  #projection: number | null = null;
  #ffn = 0;
  #devicePerSequence: number | null = null;
  #hostPerSequence: number | null = null;
  #secondsPerRow = 0;

  constructor(options: SplitterOptions) {
    this.#options = options;
  }

  get seen(): LayerTimes | null {
    const [projection, device, host] = [this.#projection, this.#devicePerSequence, this.#hostPerSequence];
    if (projection === null || device === null || host === null) return null;
    return {
      ...{ linearSeconds: projection + this.#ffn, devicePerSequence: device, hostPerSequence: host },
      secondsPerRow: this.#secondsPerRow,
    };
  }

  learn(pass: number, firstSpan: number, device: readonly Frame[], host: readonly Frame[]): void {
    const seconds = this.#sum(pass, firstSpan);
    const { numLayers } = this.#options;
    const extraRows = countPromptRows([...device, ...host]);
    if (extraRows > 0) {
      const usual = numLayers * device.length * ((this.#projection ?? 0) + this.#ffn);
      if (host.length === 0 && this.#projection !== null)
        this.#secondsPerRow = Math.max(0, seconds.expert + seconds.attention - usual) / numLayers / extraRows;
      return;
    }
    if (host.length > 0) {
      this.#projection = (seconds.project + seconds.mix) / numLayers / host.length;
      this.#hostPerSequence = seconds.onHost / numLayers / countSequences(host);
    }
    this.#ffn = seconds.expert / numLayers / (device.length + host.length);
    if (device.length > 0 && this.#projection !== null) {
      const attention = seconds.attention / numLayers - this.#projection;
      this.#devicePerSequence = Math.max(0, attention) / countSequences(device);
    }
  }

  /** Seconds of a pass's tasks by kind; attention of the host by itself. */
  #sum(pass: number, firstSpan: number) {
    const hostLane = this.#options.routes.computing('attention', 'host');
    const seconds = { project: 0, mix: 0, expert: 0, attention: 0, onHost: 0 };
    for (const span of this.#options.dispatcher.log.listFrom(firstSpan)) {
      const { pass: of, kind, lane, startSeconds, endSeconds } = span;
      if (of !== pass || !(kind in seconds)) continue;
      const of_ = kind === 'attention' && lane === hostLane ? 'onHost' : (kind as keyof typeof seconds);
      seconds[of_] += endSeconds - startSeconds;
    }
    return seconds;
  }
}

function countSequences(frames: readonly Frame[]): number {
  return frames.reduce((sum, { feeds }) => sum + feeds.length, 0);
}

/** Rows beyond one for each sequence: nobody proposes, so they are prompts of those who have just taken a place. */
function countPromptRows(frames: readonly Frame[]): number {
  return frames.reduce((sum, { feeds }) => sum + feeds.reduce((rows, { count }) => rows + count - 1, 0), 0);
}
