/** `runExperiment`: runs what a store does not have yet of an experiment's points, and says how it went. */

import { join } from 'node:path';
import { makeFolder, reasonOf, UserError } from '@specoffload/input';
import type { ExperimentDefinition } from '../definitions/definition.js';
import { describeAxes, walkPoints } from '../definitions/expand.js';
import { defaultMetric } from '../definitions/metrics.js';
import { noPoint } from '../definitions/parse.js';
import { keepDefinition } from '../definitions/stored-definitions.js';
import {
  assertWritable,
  explainStoreError,
  isStored,
  type PointRecord,
  type RunLocation,
  removeLitter,
} from '../store/index.js';
import { formatCount, plural } from '../terminal/format.js';
import { ActiveRuns } from './active-runs.js';
import { isAdaptive, noFindings, plannedRuns, searchAdaptively } from './adaptive.js';
import type { MeasuredPoint } from './counterparts.js';
import { describeHalt, describeStock, describeUnpaid } from './describe.js';
import { estimate } from './estimate.js';
import { choosePruned, rungsOf } from './halving.js';
import { KnownRuns } from './known-runs.js';
import { isInShare, locatePoint, locateRun } from './locate.js';
import { openRunner } from './open-runner.js';
import { type SweepOptions, type SweepRequest, settleRequest } from './options.js';
import type { FailedRun, SweepOutcome } from './outcome.js';
import { compareOutputs } from './outputs.js';
import { Progress } from './progress.js';
import { Scores } from './ranking.js';
import { addRefusal, forgetRefusals, type Refusal, readRefusals } from './refusals.js';
import type { PointRunner } from './runner.js';
import { Shelf } from './shelf.js';
import type { RunEnd } from './worker.js';

/**
 * Runs an experiment: every point that can be served ends with a record per run in the store. What the store has
 * already is not run again, so a sweep that was stopped, by whatever, goes on where it was.
 * @throws UserError when definition or options are refused, before anything runs, or when the store takes no more;
 * the signal's reason when it aborts.
 */
export async function runExperiment(
  definition: ExperimentDefinition,
  options: SweepOptions = {},
): Promise<SweepOutcome> {
  const request = settleRequest(definition, options);
  const { results } = request;
  await assertWritable(results, request.definition.name);
  await removeLitter(results, request.definition.name);
  const shelf = new Shelf(request.output, request.signal);
  const runner = await openRunner(request, shelf);
  const sweep = new Sweep(request, runner, shelf);
  try {
    return await sweep.run();
  } finally {
    await runner.close();
  }
}

/** So few runs are done sooner than an estimate of how long they take. */
const fewPredictions = 200;

/** One session: mutable, used once. */
class Sweep {
  readonly #request: SweepRequest;
  readonly #runner: PointRunner;
  readonly #shelf: Shelf;
  readonly #folder: string;
  readonly #startSeconds = performance.now() / 1000;
  readonly #known: KnownRuns;
  readonly #refusals = new Map<string, Refusal>();
  readonly #failed: FailedRun[] = [];
  readonly #scores = new Scores();
  /** Pruned points' keys, in the order of their pruning. */
  readonly #pruned = new Set<string>();
  #findings = noFindings;
  readonly #active = new ActiveRuns();
  #progress!: Progress;
  /** Of the definition as it lies beside the records. */
  #definitionDigest = '';
  #numPoints = 0;
  #before = 0;
  #stored = 0;
  #disturbed = 0;
  #isPrepared = false;
  /** Why nothing more is started. */
  #halt: 'time' | Error | null = null;

  constructor(request: SweepRequest, runner: PointRunner, shelf: Shelf) {
    this.#request = request;
    this.#known = new KnownRuns(request);
    this.#runner = runner;
    this.#shelf = shelf;
    this.#folder = join(request.results, request.definition.name);
  }

  async run(): Promise<SweepOutcome> {
    const { signal, search } = this.#request;
    await this.#takeStock();
    const onAbort = () => this.#runner.stop();
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      if (search === 'halving') await this.#searchByHalving();
      else if (isAdaptive(this.#request)) await this.#searchAdaptively();
      else await this.#runTurns(0, this.#request.turns.length);
    } finally {
      if (this.#halt instanceof Error) this.#runner.stop();
      await this.#active.allEnded();
      signal.removeEventListener('abort', onAbort);
    }
    signal.throwIfAborted();
    if (this.#halt instanceof Error) throw this.#halt;
    return this.#conclude();
  }

  /** Finds out what there is and what is missing, and says so. */
  async #takeStock(): Promise<void> {
    const { results, definition, turns, retries, output, isAnnounced } = this.#request;
    await makeFolder(this.#folder).catch((error) => {
      throw explainStoreError(error, results);
    });
    this.#definitionDigest = await keepDefinition(results, definition);
    if (retries) await forgetRefusals(results, definition.name);
    await this.#known.readAll();
    const refusals = await readRefusals(results, definition.name);
    for await (const record of this.#points(false)) {
      this.#numPoints += 1;
      const refusal = refusals.get(record.pointKey);
      if (refusal) this.#refusals.set(record.pointKey, refusal);
      else if (!isAdaptive(this.#request))
        for (const turn of turns) if (this.#known.has(locateRun(record, turn).key)) this.#before += 1;
    }
    if (this.#numPoints === 0 && !this.#request.share) throw noPoint(definition);
    const total = isAdaptive(this.#request)
      ? plannedRuns(this.#request, this.#numPoints)
      : (this.#numPoints - this.#refusals.size) * turns.length;
    const missing = total - this.#before;
    // Trying predictions out takes a second; without it the first few runs tell.
    const isTold = definition.kind === 'measured' || (isAnnounced && missing >= fewPredictions);
    const planned = { points: this.#numPoints, runs: missing };
    const { seconds, unpaid } = isTold
      ? await estimate(this.#request, this.#shelf, planned)
      : { seconds: null, unpaid: [] };
    this.#progress = new Progress(
      { total, done: this.#before, refused: this.#refusals.size, remainingSeconds: seconds },
      this.#request.onProgress,
    );
    this.#runner.follow?.((queue) => this.#progress.place(queue));
    const stock = { points: this.#numPoints, total, before: this.#before, refused: this.#refusals.size };
    output.note(describeStock(definition, { ...stock, seconds }));
    if (missing > 0 && unpaid.length > 0) output.note(describeUnpaid(definition, unpaid));
  }

  async *#points(isBackwards: boolean): AsyncGenerator<PointRecord> {
    const { definition, signal } = this.#request;
    for await (const point of walkPoints(definition, signal, isBackwards)) {
      signal.throwIfAborted();
      if (!isInShare(point, this.#request.share)) continue;
      const { spec, planned } = await this.#runner.settle(point);
      yield locatePoint(definition.name, { ...point, planned }, spec, this.#definitionDigest);
    }
  }

  /** Runs what is missing of some turns; every other one backwards where that evens out a drift. */
  async #runTurns(first: number, end: number): Promise<void> {
    const { turns, definition } = this.#request;
    for (let index = first; index < end; index += 1) {
      const isBackwards = definition.kind === 'measured' && index % 2 === 1;
      for await (const record of this.#points(isBackwards)) {
        if (this.#mustHalt()) return;
        const location = locateRun(record, turns[index]);
        const isOut = this.#refusals.has(record.pointKey) || this.#pruned.has(record.pointKey);
        if (isOut || this.#known.has(location.key)) continue;
        await this.#start(location, index);
      }
    }
  }

  #mustHalt(): boolean {
    const { maxSeconds, signal } = this.#request;
    signal.throwIfAborted();
    if (this.#halt === null && performance.now() / 1000 - this.#startSeconds >= maxSeconds)
      this.#halt = 'time';
    return this.#halt !== null;
  }

  /** Begins a run as soon as there is room for it. */
  async #start(location: RunLocation, index: number): Promise<void> {
    const { point: record } = location;
    if (!this.#isPrepared) await this.#runner.prepare(record);
    this.#isPrepared = true;
    await this.#active.roomWithin(this.#runner.width);
    if (this.#mustHalt() || this.#refusals.has(record.pointKey)) return;
    if (isStored(join(this.#folder, location.key))) {
      // Another sweep on this folder has stored it since this one looked what is there.
      this.#before += 1;
      this.#known.readOne(location.key);
      return this.#progress.find();
    }
    const turn = this.#request.turns[index];
    this.#progress.begin(describeAxes(record.axes));
    this.#active.add(
      this.#runner
        .run(location, turn)
        .catch((error): RunEnd => ({ end: 'failed', message: reasonOf(error) }))
        .then((end) => this.#settle(end, location, index))
        .catch((error) => {
          this.#halt ??= error;
        }),
    );
  }

  async #settle(end: RunEnd, { key, point }: RunLocation, index: number): Promise<void> {
    const { results, definition, turns } = this.#request;
    switch (end.end) {
      case 'stored':
        this.#stored += 1;
        this.#known.set(key, end.value);
        if (end.isDisturbed) this.#disturbed += 1;
        this.#scores.add(point, index, end.value);
        return this.#progress.end('done');
      case 'known':
        this.#before += 1;
        this.#known.readOne(key);
        return this.#progress.end('done');
      case 'refused': {
        if (this.#refusals.has(point.pointKey)) return this.#progress.end('stopped');
        const { pointKey, axes } = point;
        const refusal = { pointKey, axes, reason: end.reason, createdAt: new Date().toISOString() };
        this.#refusals.set(pointKey, refusal);
        this.#progress.end('refused', this.#request.search === 'thompson' ? 0 : turns.length);
        return addRefusal(results, definition.name, refusal);
      }
      case 'failed':
        this.#failed.push({ axes: point.axes, ...turns[index], message: end.message });
        return this.#progress.end('failed');
      case 'unstorable':
        this.#progress.end('stopped');
        throw new UserError(`${end.reason}; what is finished stays, start the same sweep again to go on`);
      case 'stopped':
        this.#halt ??= 'time'; // unless it was aborted
        return this.#progress.end('stopped');
    }
  }

  async #searchByHalving(): Promise<void> {
    const { turns, definition, output } = this.#request;
    let done = 0;
    for (const rung of [...rungsOf(turns.length), turns.length]) {
      await this.#runTurns(done, rung);
      await this.#active.allEnded();
      if (this.#mustHalt() || rung === turns.length) return;
      await this.#addScores();
      const alive = await this.#alive();
      const { baseline = null, lowerIsBetter = false } = definition;
      const isBaseline = (axes: PointRecord['axes']) =>
        baseline !== null && Object.entries(baseline).every(([name, value]) => axes[name] === value);
      const pruned = choosePruned(this.#scores, alive, lowerIsBetter, isBaseline);
      for (const key of pruned) this.#pruned.add(key);
      const lacking = pruned.flatMap((key) =>
        turns.filter((_, index) => index >= rung && !this.#scores.has(key, index)),
      );
      this.#progress.drop(lacking.length);
      output.note(
        `${definition.name}: after ${plural(rung, 'run')} of each, ${formatCount(pruned.length)} of ${plural(alive.size, 'point')} let go`,
      );
      done = rung;
    }
  }

  async #searchAdaptively(): Promise<void> {
    const request = this.#request;
    const arms: PointRecord[] = [];
    // Refused ones, too: a search that goes on must choose among the same.
    for await (const record of this.#points(false)) arms.push(record);
    this.#findings = await searchAdaptively({
      ...{ request, arms, shelf: this.#shelf, folder: this.#folder },
      ...{ mustHalt: () => this.#mustHalt(), reachedBy: (key) => this.#known.get(key) ?? null },
      run: (arm, turns) => this.#runSome(arms[arm], turns),
    });
    if (!this.#mustHalt()) this.#progress.dropRest();
  }

  /** @returns keys; null of what is not there afterwards */
  async #runSome(point: PointRecord, turns: readonly number[]): Promise<(string | null)[]> {
    const locations = turns.map((turn) => locateRun(point, this.#request.turns[turn]));
    for (const [i, location] of locations.entries())
      if (this.#known.has(location.key)) {
        this.#before += 1;
        this.#progress.find();
      } else await this.#start(location, turns[i]);
    await this.#active.allEnded();
    return locations.map(({ key }) => (this.#known.has(key) ? key : null));
  }

  async #alive(): Promise<Set<string>> {
    const alive = new Set<string>();
    for await (const record of this.#points(false))
      if (!this.#refusals.has(record.pointKey) && !this.#pruned.has(record.pointKey))
        alive.add(record.pointKey);
    return alive;
  }

  /** Of runs that this session did not make. */
  async #addScores(): Promise<void> {
    const { turns } = this.#request;
    for await (const record of this.#points(false))
      for (const [index, turn] of turns.entries()) {
        const { key } = locateRun(record, turn);
        const value = this.#known.get(key);
        if (value !== undefined && !this.#scores.has(record.pointKey, index))
          this.#scores.add(record, index, value);
      }
  }

  /** Where the records of measured points are. */
  async *#measured(): AsyncGenerator<Omit<MeasuredPoint, 'seed'>> {
    for await (const point of this.#points(false))
      for (const turn of this.#request.turns) {
        const { key } = locateRun(point, turn);
        if (this.#known.has(key)) yield { point, folder: join(this.#folder, key) };
      }
  }

  async #conclude(): Promise<SweepOutcome> {
    const { definition, output, maxSeconds } = this.#request;
    const { name, kind, metric = defaultMetric, lowerIsBetter = false } = definition;
    await this.#addScores();
    const hasRun = (key: string) => this.#known.has(key);
    const agreement =
      kind === 'measured' ? await compareOutputs(this.#request, this.#shelf, this.#measured(), hasRun) : null;
    const ranking = this.#scores.rank(lowerIsBetter);
    const { total, done, elapsedSeconds } = this.#progress.now;
    if (this.#halt === 'time') output.note(describeHalt(name, maxSeconds, this.#progress.now));
    return {
      ...{ experiment: name, kind, folder: this.#folder, metric, lowerIsBetter },
      ...{ points: this.#numPoints, runs: total, before: this.#before, stored: this.#stored },
      ...{ failed: this.#failed, refused: [...this.#refusals.values()], ranking, elapsedSeconds },
      ...{ disturbed: this.#disturbed, agreement, ...this.#findings },
      pruned: ranking.filter(({ pointKey }) => this.#pruned.has(pointKey)).reverse(),
      isComplete: done === total,
    };
  }
}
