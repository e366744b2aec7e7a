/** Who proposes: a model, or anything else that can guess how a text goes on. */

import type { Formats } from '../machine/formats.js';
import type { Checkpoint } from '../model/types.js';
import type { OutcomeOdds } from '../speculate/outcome-odds.js';
import type { Sampling } from '../speculate/sampling.js';
import type { Sequence } from '../speculate/sequence.js';
import type { LaneName, Routes } from '../topology/topology.js';
import type { InCrossbars } from './crossbars.js';
import type { MemoryDemand, ModelPlacement, Pools } from './memory-plan.js';
import type { OpenPolicy, Policy } from './policy.js';
import type { Task } from './task.js';
import type { TaskIds } from './work.js';

/** What the target has in memory for the whole run. */
export interface ResidentTarget
  extends Pick<ModelPlacement, 'checkpoint' | 'layouts' | 'embedding' | 'head' | 'pinned'> {
  /** Layers of which all weights stay on the device, ascending. */
  readonly pinnedLayers: readonly number[];
}

/** Takes what a drafter needs from the pools; a model's placement, null without one. */
export type PlaceDraft = (pools: Pools, target: ResidentTarget) => ModelPlacement | null;

export interface DraftNeeds {
  readonly policy: OpenPolicy;
  readonly demand: MemoryDemand;
  readonly formats: Formats;
  /** Which memory its lane computes on. */
  readonly routes: Routes;
  /** What crossbars hold: with the draft among it, only the rest of what it needs is elsewhere. */
  readonly held: InCrossbars | null;
  /** What a byte of a cache that it keeps in device memory counts as, see `Budgets`. */
  readonly cacheFactor: number;
}

export interface Drafter {
  readonly name: string;
  /** The model it computes with, of the target's vocabulary; null without one of its own. */
  readonly checkpoint: Checkpoint | null;
  /** How many pinned layers of the target it needs at least, as it computes with them. @default none */
  readonly leastPinned?: (policy: OpenPolicy) => number;
  /** Which of a machine's lanes its work goes to. */
  laneIn(routes: Routes, policy: OpenPolicy): LaneName;
  /** Fields of the policy about drafting that it heeds: what a planner may search. */
  readonly heeds: readonly (keyof Policy)[];
  /** What it needs in memory. Asked once for a plan, which may lay its pools out many times. */
  reserve(needs: DraftNeeds): PlaceDraft;
  /** Its part in one run. */
  begin(run: DraftRun): Drafting;
  /** Without a model: what a round's one task takes, see {@link RoundWork}; for estimates before anything is simulated. */
  readonly roundWork?: (tokens: number) => RoundWork;
  /** Of a target: the model that proposes the same by itself, where it computes with the target's layers. */
  readonly standIn?: (target: Checkpoint, policy: Pick<Policy, 'draftLayers' | 'pinnedLayers'>) => Checkpoint;
  /** What it would propose behind a text, where that depends on nothing else: how often it is right is counted from texts. */
  readonly guess?: (text: readonly number[], wanted: number) => readonly number[];
}

/** Of proposing for sequences that have so many tokens together. */
export interface RoundWork {
  readonly bytes: number;
  readonly flops: number;
}

export interface DraftRun {
  /** What `reserve` has placed. */
  readonly placement: ModelPlacement | null;
  readonly policy: OpenPolicy;
  /** Which lane its work goes to. */
  readonly routes: Routes;
  readonly ids: TaskIds;
  /** How tokens are drawn, and so are best proposed; null: the most likely are chosen. */
  readonly sampling: Sampling | null;
  /** One task for all steps behind the first: enough for a machine that lets urgent work in between anyway. */
  readonly isCoarse: boolean;
}

/** A drafter at work. What its tasks say of their arithmetic and bytes is what they cost on a virtual machine. */
export interface Drafting {
  /** Makes room for the sequences of a wave. */
  admit(sequences: readonly Sequence[]): void;
  /** What brings it to the device where it was not before; nothing else is under way then. */
  bring(pass: number): Task[];
  /** Tasks, the last one last, that fill `candidates` (ahead: `prepared`) of the sequences when they end. */
  propose(round: DraftRound): Task[];
  /** The same in parts, each made when all tasks of the one before have ended; missing: `propose` is all there is. */
  proposeInParts?(round: DraftRound): Iterable<readonly Task[]>;
  /** Tasks that fill `prepared` of the sequences for several outcomes; missing: it knows one outcome, and `propose` is asked. */
  prepare?(round: PrepareRound): Preparation;
  /** A sequence is `length` tokens long: what was proposed behind them is no part of it. */
  forget(sequence: Sequence, length: number): void;
}

export interface DraftRound {
  /** The pass that will verify. */
  readonly pass: number;
  readonly batch: number;
  /** Unfinished ones. */
  readonly sequences: readonly Sequence[];
  /** Propose behind the candidates that are being verified, the token that the target adds included. */
  readonly isAhead: boolean;
  /** Most tokens to propose for a sequence, not counting the target's own where that is guessed, too; at least one. */
  readonly candidates: number;
}

/** A verification is under way, for which likely outcomes are prepared. */
export interface PrepareRound extends Omit<DraftRound, 'isAhead'> {
  readonly odds: OutcomeOdds;
  /** Whether its end is known: nothing more need begin. */
  readonly isOver: () => boolean;
}

export interface Preparation {
  /** What comes first. */
  readonly looks: readonly Task[];
  /** Asked when all tasks before have ended: those for the likeliest outcomes that are left; none when all are prepared. */
  next(): readonly Task[];
}
