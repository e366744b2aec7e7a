/**
 * Drafting ahead for several outcomes: while the target verifies a batch's candidates, the draft first looks behind the
 * last one, and then goes on behind what the target may make of them, the likeliest first, each in a branch of its own.
 * Source: Kumar et al., Speculative Speculative Decoding, arXiv 2603.03251, applied to a target whose weights stream.
 */

import type { Oracle } from '../speculate/acceptance.js';
import type { Leaders } from '../speculate/leaders.js';
import type { Outcome } from '../speculate/outcome-odds.js';
import type { PreparedOutcome, Sequence } from '../speculate/sequence.js';
import { type DraftModelRun, type DraftSteps, draftSteps, type StepwiseProposal } from './draft-steps.js';
import type { Preparation, PrepareRound } from './drafter.js';
import { inMicroBatches } from './micro-batches.js';
import { leadersWanted, mostOutcomes, tokensOfBranch } from './outcomes.js';
import type { Task } from './task.js';

export interface OutcomeRoundRequest extends PrepareRound, DraftModelRun {
  /** In the draft's cache, where branches begin. */
  readonly firstBranchToken: number;
}

/** A sequence under verification. */
interface Trunk {
  readonly sequence: Sequence;
  /** The draft's own choice behind all candidates. */
  readonly look: StepwiseProposal;
  /** Where nothing is computed: which of the draft's other choices the target's token is, by place. */
  readonly imaginedRanks: Map<number, number>;
}

interface Branch extends StepwiseProposal, Omit<PreparedOutcome, 'ids' | 'shares' | 'leaders'> {
  token: number;
}

interface Planned extends Outcome {
  readonly trunk: Trunk;
  readonly chance: number;
}

/**
 * Mutates the sequences when tasks end: `prepared`, and `draftCached` as far as candidates and the draft's own choice behind
 * them are fed.
 */
export function prepareOutcomes(request: OutcomeRoundRequest): Preparation {
  const { policy, sequences } = request;
  const trunks = sequences.filter(wantsMore).map(trunkOf);
  for (const { sequence } of trunks) sequence.prepared = [];
  const looks = inMicroBatches(trunks, policy.draftBatch).map(
    (some): Task =>
      draftSteps(
        stepsOf(request, 'look behind'),
        some.map(({ look }) => look),
        0,
        1,
        undefined,
      ),
  );
  let planned: Planned[] | null = null;
  return {
    looks,
    next() {
      planned ??= planBranches(request, trunks);
      return branchTasks(request, planned.splice(0, policy.draftBatch));
    },
  };
}

/** Whatever becomes of its candidates, at least one more can be used after the next verification. */
function wantsMore({ isFinished, remaining }: Sequence): boolean {
  return !isFinished && remaining > 2;
}

function trunkOf(sequence: Sequence): Trunk {
  return {
    ...{ sequence, imaginedRanks: new Map() },
    look: begun({ sequence, assumed: sequence.candidates, wanted: 1, room: null }),
  };
}

function begun(start: Pick<StepwiseProposal, 'sequence' | 'assumed' | 'wanted' | 'room'>): StepwiseProposal {
  return { ...start, ids: [], numProposed: 0, shares: null, leaders: null };
}

function stepsOf(request: OutcomeRoundRequest, name: string): DraftSteps {
  return { ...request, name, numLeaders: leadersWanted(request.policy), onWhole: () => {} };
}

/** Of all sequences, the likeliest outcomes first. */
function planBranches({ policy, odds }: OutcomeRoundRequest, trunks: readonly Trunk[]): Planned[] {
  const byCandidates = new Map<number, ReturnType<typeof odds.list>>();
  const outcomesOf = (candidates: number) => {
    const known = byCandidates.get(candidates) ?? odds.list(candidates, leadersWanted(policy));
    byCandidates.set(candidates, known);
    return known;
  };
  return trunks
    .filter(({ look }) => look.numProposed > 0)
    .flatMap((trunk) =>
      outcomesOf(trunk.look.assumed.length)
        .filter(({ accepted }) => wantedBehind(trunk, accepted, policy.candidates) > 0)
        .slice(0, mostOutcomes(policy))
        .map((outcome) => ({ ...outcome, trunk })),
    )
    .sort((a, b) => b.chance - a.chance);
}

/** The target adds a token to those that stand, and another to those of the next round. */
function wantedBehind({ sequence }: Trunk, accepted: number, candidates: number): number {
  return Math.min(candidates, sequence.remaining - accepted - 2);
}

function branchTasks(request: OutcomeRoundRequest, planned: readonly Planned[]): Task[] {
  const branches = planned.flatMap((outcome, place) => beginBranch(request, outcome, place) ?? []);
  const steps = stepsOf(request, 'draft ahead');
  const numSteps = branches.reduce((most, { wanted }) => Math.max(most, wanted), 0);
  const tasks: Task[] = [];
  for (let step = 0; step < numSteps; step += 1) {
    const task = draftSteps(steps, branches, step, step + 1, tasks.at(-1)?.id);
    tasks.push(step === 0 ? beginning(task, branches, planned) : task);
  }
  return tasks;
}

/** @returns null where the draft has no such choice */
function beginBranch(
  { policy, firstBranchToken }: OutcomeRoundRequest,
  { trunk, accepted, rank }: Planned,
  place: number,
): Branch | null {
  const { sequence, look } = trunk;
  const token = choiceOf(trunk, accepted, rank);
  if (token === null) return null;
  const capacity = tokensOfBranch(policy);
  // The draft's own choice behind all candidates goes on where it is.
  const isOwn = rank === 0;
  const room = {
    ...{ tokenOffset: firstBranchToken + place * capacity, capacity },
    ...{ firstToken: 0, isOnDevice: false },
  };
  const start = {
    ...{ sequence, assumed: [...look.assumed.slice(0, accepted), token], room: isOwn ? null : room },
    wanted: wantedBehind(trunk, accepted, policy.candidates),
  };
  return { ...begun(start), accepted, rank, token, isCached: isOwn };
}

/** What the draft would have chosen in place of its own choice; where nothing is computed, 1 stands for a wrong one. */
function choiceOf({ sequence, look }: Trunk, accepted: number, rank: number): number | null {
  const { candidates, candidateLeaders } = sequence;
  const isBehind = accepted === candidates.length;
  const own = isBehind ? look.ids[0] : candidates[accepted];
  if (rank === 0) return own;
  const leaders: Leaders | undefined = isBehind ? look.leaders?.[0] : candidateLeaders?.[accepted];
  if (!leaders) return 1;
  return leaders.ids.filter((id) => id !== own)[rank - 1] ?? null;
}

/** The first step of some branches: where nothing is computed, it turns out here which of them the target's tokens follow. */
function beginning(task: Task, branches: readonly Branch[], planned: readonly Planned[]): Task {
  const { imagine, onEnd } = task;
  return Object.assign(task, {
    imagine: (oracle: Oracle) => {
      for (const [index, branch] of branches.entries())
        if (branch.rank > 0) branch.token = imagineToken(oracle, planned[index]);
      return imagine?.(oracle) ?? null;
    },
    onEnd: (result: unknown) => {
      onEnd?.(result);
      if (result)
        for (const branch of branches) branch.sequence.prepared = [...branch.sequence.prepared, branch];
    },
  });
}

function imagineToken(oracle: Oracle, { trunk, accepted, rank }: Planned): number {
  const { sequence, look, imaginedRanks } = trunk;
  if (accepted === sequence.candidates.length && look.ids[0] === 0) return 1;
  const position = sequence.choices.length + accepted;
  const found = imaginedRanks.get(accepted) ?? oracle.rankOf?.(sequence.index, position) ?? 0;
  imaginedRanks.set(accepted, found);
  return found === rank ? 0 : 1;
}
