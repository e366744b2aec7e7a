/** The planner's pick beside what the lab does by itself, for real and by turns: the main job, and one sequence at a time. */

import { type RunResult, usesDraft } from '@specoffload/engine';
import { mean, sum } from 'simple-statistics';
import { compareSequences } from '../../job/compare.js';
import { turned } from '../../job/turns.js';
import { displayPath, localMachinePath } from '../../paths.js';
import { describePolicy } from '../../plan/describe.js';
import type { RecordedRouting } from '../../plan/recorded-routing.js';
import { describeSample } from '../../statistics/index.js';
import { specOfRun } from '../../store/index.js';
import { formatBytes, formatSeconds, threeDigits } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import { formatTable } from '../../terminal/table.js';
import type { BenchOptions } from '../main.js';
import {
  ensureMachine,
  type Leg,
  openSituations,
  ownLegs,
  planPicks,
  runLeg,
  type Situation,
} from './legs.js';
import { type LegName, type PickRun, ratioIn, type SituationName, serialLegs, verdicts } from './verdicts.js';

export interface PicksOptions extends BenchOptions {
  /** @default 3; 1 where it is to be quick */
  readonly rounds?: number | undefined;
}

interface MeasuredLeg extends PickRun {
  readonly prefillSeconds: number;
  readonly decodeSeconds: number;
  readonly diskBytes: number;
  /** Of a sequence, in the mean of the runs; null where nothing proposes. */
  readonly tokensPerRound: number | null;
}

export async function benchPicks(options: PicksOptions): Promise<void> {
  const { quick, output } = options;
  const { rounds = quick ? 1 : 3 } = options;
  const { situations, packed } = await openSituations(options);
  await ensureMachine(situations[0].job.target, options);
  const runs: MeasuredLeg[] = [];
  const isPacked: Partial<Record<SituationName, boolean>> = {};
  const legs: object[] = [];
  let recorded: RecordedRouting | null = null;
  for (const situation of situations) {
    const { name } = situation;
    let reference: readonly RunResult[] | null = null;
    const take = async (leg: Leg, round: number) => {
      output.note(`bench: ${name}, ${leg.name}, round ${round + 1} of ${rounds}`);
      const results = await runLeg(situation, leg, options);
      reference ??= results;
      assertSame(leg.name, reference, results);
      runs.push({ situation: name, leg: leg.name, round, ...figuresOf(results) });
      return results;
    };
    const [plain, ...serial] = ownLegs(situation);
    const [first] = await take(plain, 0);
    // The main job's own experts are known from a run of it; the desk's texts are others.
    recorded ??= first.routing ? { routing: first.routing, run: 'of none in this bench' } : null;
    const picks = await planPicks(situation, packed, recorded, options);
    isPacked[name] = picks.length > 1;
    for (let round = 0; round < rounds; round += 1) {
      // Slow with one sequence, and no aim is about it there.
      if (round > 0 && name === 'main') await take(plain, round);
      for (const leg of turned([...serial, ...picks], round)) await take(leg, round);
    }
    const all = [plain, ...serial, ...picks];
    saySituation(situation, all, runs, output);
    for (const leg of all)
      legs.push({
        ...{ situation: name, leg: leg.name, predicted: leg.predicted },
        specs: situation.workloads.map((workload) => specOfRun({ ...situation.job, ...leg, workload })),
      });
  }
  output.say(
    `\nplanned by the rates of ${displayPath(localMachinePath)}; all runs of a situation wrote the same tokens`,
  );
  for (const verdict of verdicts(runs, isPacked)) output.say(verdict);
  if (quick) output.say('(the aims are about the whole main job: leave --quick out)');
  output.document({ machine: displayPath(localMachinePath), legs, runs });
}

/** @throws Error where rounding explains no difference: one of the two is wrong */
function assertSame(name: LegName, expected: readonly RunResult[], actual: readonly RunResult[]): void {
  for (const [index, result] of actual.entries()) {
    const { numErrors } = compareSequences(expected[index], result);
    if (numErrors > 0) throw new Error(`${name} wrote other tokens than none: ${numErrors} differences`);
  }
}

function figuresOf(results: readonly RunResult[]): Omit<MeasuredLeg, 'situation' | 'leg' | 'round'> {
  const total = (of: (result: RunResult) => number) => sum(results.map(of));
  const perRound = results.flatMap(({ acceptance }) => acceptance?.tokensPerRound ?? []);
  return {
    tokensPerSecond: total(({ newTokens }) => newTokens) / total(({ seconds }) => seconds),
    prefillSeconds: total(({ phases }) => phases.prefill.seconds),
    decodeSeconds: total(({ phases }) => phases.decode.seconds),
    diskBytes: total(({ bytesMoved }) => bytesMoved.disk),
    tokensPerRound: perRound.length === 0 ? null : mean(perRound),
  };
}

function saySituation(
  { name, inWords, job }: Situation,
  legs: readonly Leg[],
  runs: readonly MeasuredLeg[],
  output: Output,
): void {
  const { target, machine, maxNewTokens } = job;
  const ofLeg = (leg: Leg) => runs.filter((run) => run.situation === name && run.leg === leg.name);
  const median = (of: (run: MeasuredLeg) => number) => (leg: Leg) =>
    describeSample(ofLeg(leg).map(of)).median;
  const [seconds, bytes, speed] = [
    { prefill: median((run) => run.prefillSeconds), decode: median((run) => run.decodeSeconds) },
    median(({ diskBytes }) => diskBytes),
    median(({ tokensPerSecond }) => tokensPerSecond),
  ];
  output.say(
    `\n${inWords}; ${target.name}, ${formatBytes(target.bytes)}, device ${formatBytes(machine.deviceBytes)}, host ${formatBytes(machine.hostBytes)}, ${maxNewTokens} new tokens each`,
  );
  output.say(
    formatTable<Leg>(
      [
        { title: 'what', align: 'left', text: (leg) => leg.name },
        { title: 'rounds', text: (leg) => String(ofLeg(leg).length) },
        { title: 'tokens/s', text: (leg) => threeDigits(speed(leg)) },
        { title: 'predicted', text: ({ predicted }) => (predicted === null ? '-' : threeDigits(predicted)) },
        {
          title: 'x serial',
          text: (leg) => ratioIn(runs, name, leg.name, serialLegs).ratio?.toFixed(2) ?? '-',
        },
        { title: 'prefill', text: (leg) => formatSeconds(seconds.prefill(leg)) },
        { title: 'decode', text: (leg) => formatSeconds(seconds.decode(leg)) },
        { title: 'read', text: (leg) => formatBytes(bytes(leg)) },
        { title: 'tok/round', text: (leg) => ofLeg(leg)[0]?.tokensPerRound?.toFixed(2) ?? '-' },
      ],
      legs,
    ),
  );
  for (const { name: leg, strategy, policy, drafter, target: weights, predicted } of legs) {
    if (predicted === null) continue;
    const by = drafter === undefined || !usesDraft(policy as never) ? '' : ` by ${drafter}`;
    const stored = weights === target ? 'weights as they are' : 'weights packed without loss';
    output.say(`${leg}: ${strategy}${by}, ${stored}: ${describePolicy(policy as never)}`);
  }
}
