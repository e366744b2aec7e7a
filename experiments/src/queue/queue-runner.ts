/** Runs a sweep's points on whatever machines take them from a queue. */

import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { UserError } from '@specoffload/input';
import type { Redis } from 'ioredis';
import type { Point } from '../definitions/expand.js';
import { defaultMetric } from '../definitions/metrics.js';
import type { RunLocation, Turn } from '../store/index.js';
import { createMeasurementPlanner } from '../sweep/measurements.js';
import type { SweepRequest } from '../sweep/options.js';
import type { PointPlanner, SettledPoint } from '../sweep/planned-points.js';
import { createPredictionPlanner } from '../sweep/predictions.js';
import type { QueueState } from '../sweep/progress.js';
import type { CreateRunner, PointRunner } from '../sweep/runner.js';
import type { RunEnd } from '../sweep/worker.js';
import { assertQueueAddress, connect, hangUp, withoutPassword } from './address.js';
import { AskedRuns } from './asked-runs.js';
import { JobQueue } from './job-queue.js';
import { type MachineClass, nameOfClass, parseClass, queueNameOf } from './machine-class.js';
import { type PointMessage, writePoint } from './messages.js';
import { listWorkers } from './presence.js';
import { markOf } from './store-mark.js';

export interface QueueOptions {
  /** Which machines measure, as `specoffload worker --label` calls them; predictions are made anywhere. */
  readonly label?: string;
}

/**
 * For `runExperiment(definition, { createRunner: queueRunner('redis://127.0.0.1:6379') })`.
 * @throws UserError for an address or a label that is none
 */
export function queueRunner(address: string, { label }: QueueOptions = {}): CreateRunner {
  assertQueueAddress(address);
  const asked = label === undefined ? null : parseClass(label);
  return async (request, shelf) => {
    const isMeasured = request.definition.kind === 'measured';
    if (isMeasured && asked === null)
      throw new UserError(
        `${request.definition.name} is measured; say with label on which machines, as their workers are called (specoffload worker --label)`,
      );
    const planner = (isMeasured ? createMeasurementPlanner : createPredictionPlanner)(request, shelf);
    return new QueueRunner(request, address, isMeasured ? asked : null, planner);
  };
}

const toldEveryMs = 1000;

class QueueRunner implements PointRunner {
  /** So many wait or run at once: a hundred machines find enough, and a stopped sweep leaves little behind. */
  readonly width = 2000;
  readonly #request: SweepRequest;
  readonly #address: string;
  readonly #asked: ReturnType<typeof parseClass> | null;
  readonly #planner: PointPlanner;
  readonly #session = randomBytes(8).toString('hex');
  #store = '';
  #redis: Redis | null = null;
  #runs: AskedRuns | null = null;
  #listener: (queue: QueueState) => void = () => {};
  #teller: NodeJS.Timeout | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #hasMissedWorkers = false;

  constructor(
    request: SweepRequest,
    address: string,
    asked: ReturnType<typeof parseClass> | null,
    planner: PointPlanner,
  ) {
    this.#request = request;
    this.#address = address;
    this.#asked = asked;
    this.#planner = planner;
  }

  settle(point: Point): Promise<SettledPoint> {
    return this.#planner.settle(point);
  }

  async prepare(): Promise<void> {
    const { results, maxSeconds } = this.#request;
    this.#store = await markOf(results);
    const redis = await connect(this.#address, (isBack) =>
      this.#note(isBack ? 'the queue answers again' : 'the queue does not answer; waiting for it'),
    );
    this.#redis = redis;
    const queue = await JobQueue.open(redis, queueNameOf(await this.#findClass(redis)));
    const runs = new AskedRuns(queue, this.#request);
    this.#runs = runs;
    await runs.start();
    this.#teller = setInterval(() => void this.#tell(redis, queue).catch(() => {}), toldEveryMs);
    if (maxSeconds < 1e6)
      this.#deadline = setTimeout(() => void runs.withdraw({ isFinal: false }), 1000 * maxSeconds);
  }

  async run(location: RunLocation, turn: Turn): Promise<RunEnd> {
    const refusal = this.#planner.refusalOf(location.point);
    if (refusal) return refusal;
    const { definition, keepsTraces, warmups } = this.#request;
    const message: PointMessage = {
      ...{ kind: definition.kind, session: this.#session, store: this.#store, location, turn },
      ...{ metric: definition.metric ?? defaultMetric, keepsTraces, warmups },
    };
    return this.#runs!.ask(message, writePoint(message));
  }

  follow(listener: (queue: QueueState) => void): void {
    this.#listener = listener;
  }

  stop(): void {
    void this.#runs?.withdraw({ isFinal: true });
  }

  async close(): Promise<void> {
    clearInterval(this.#teller);
    clearTimeout(this.#deadline);
    await this.#runs?.close();
    if (this.#redis) hangUp(this.#redis);
  }

  #note(sentence: string): void {
    this.#request.output.note(`${this.#request.definition.name}: ${sentence}`);
  }

  /** null of what is predicted. Waits for a worker of that label where its digest was not said. */
  async #findClass(redis: Redis): Promise<MachineClass | null> {
    const asked = this.#asked;
    if (asked === null) return null;
    const { label, machine } = asked;
    if (machine !== null) return { label, machine };
    for (let looks = 0; ; looks += 1) {
      const classes = (await listWorkers(redis)).flatMap(({ machineClass }) =>
        machineClass?.label === label ? [machineClass] : [],
      );
      const names = [...new Set(classes.map(nameOfClass))];
      if (names.length > 1)
        throw new UserError(
          `label ${label} is of machines with different machine files; say which: --label ${names.sort().join(' or --label ')}`,
        );
      if (classes.length > 0) return classes[0]!;
      if (looks === 0)
        this.#note(`waiting for a machine: start \`specoffload worker --queue … --label ${label}\` on it`);
      await delay(500, undefined, { signal: this.#request.signal }).catch(() => {});
      this.#request.signal.throwIfAborted();
    }
  }

  async #tell(redis: Redis, queue: JobQueue): Promise<void> {
    const [counts, workers] = await Promise.all([queue.counts(), listWorkers(redis)]);
    const wanted = this.#asked;
    const fitting = workers.filter(
      ({ machineClass }) => wanted === null || machineClass?.label === wanted.label,
    ).length;
    this.#listener({ ...counts, workers: fitting });
    if (fitting > 0 || this.#hasMissedWorkers || counts.waiting === 0) return;
    this.#hasMissedWorkers = true;
    this.#note(
      `no worker is there; start some with \`specoffload worker --queue ${withoutPassword(this.#address)}${wanted === null ? '' : ` --label ${wanted.label}`}\``,
    );
  }
}
