/** What goes into a run and what comes out of it. */

import type { Arithmetic } from '../machine/arithmetic.js';
import type { Budgets } from '../machine/budgets.js';
import type { Caps } from '../machine/caps.js';
import type { DeviceFacts } from '../machine/device.js';
import type { DeviceChoice } from '../machine/devices.js';
import type { Energy } from '../machine/power.js';
import type { ProductNoise } from '../machine/product-noise.js';
import type { Checkpoint } from '../model/types.js';
import type { SharesByKind } from '../schedule/balance.js';
import type { Drafter } from '../schedule/drafter.js';
import type { DrafterName } from '../schedule/drafters.js';
import type { Policy, PolicyInput } from '../schedule/policy.js';
import type { Strategy, StrategyName } from '../schedule/strategies/index.js';
import type { ExpertReport } from '../speculate/expert-counter.js';
import type { RoutingReport } from '../speculate/routing-counter.js';
import type { SamplingInput } from '../speculate/sampling.js';
import type { StopReason, TokenListener } from '../speculate/sequence.js';
import type { AcceptanceReport, AheadReport } from '../speculate/statistics.js';
import type { ByMemory, LaneName } from '../topology/topology.js';
import type { MemoryLog } from '../trace/memory.js';
import type { LaneGaps } from '../trace/report.js';
import type { PhaseName, PhaseReport, Span } from '../trace/types.js';
import type { CrossbarReport } from './crossbar-report.js';
import type { DevicePower, DeviceUse } from './device-meter.js';
import type { SplitSteps } from './split-steps.js';

/** Reads in flight on the disk lane by default. Measured: with 2 it reached 0.92 of plain reading's rate, with 4 all of it. */
export const defaultReadsInFlight = 4;

/** The machine a run may use: hard memory budgets, cores and caps. */
export interface MachineSettings extends Budgets {
  /** Threads of the device lane's arithmetic. @default 1 */
  readonly deviceCores?: number;
  /** The same while prompts are read; idle: all that the process may use. @default deviceCores */
  readonly prefillCores?: number | 'idle' | undefined;
  /** Threads of the host lane's attention. @default 1 */
  readonly hostCores?: number;
  /** Reads in flight on the disk lane. @default 4 */
  readonly readsInFlight?: number;
  /** What the lanes are slowed down to. @default none */
  readonly caps?: Partial<Caps>;
  /** Which core implementation to use. @default auto */
  readonly native?: 'auto' | 'native' | 'twin';
}

export interface RunRequest {
  readonly target: Checkpoint;
  /** Needed when the policy speculates and the drafter is a model. */
  readonly draft: Checkpoint | null;
  /** Who proposes: by name, or one of the caller's own. @default model: the draft model */
  readonly drafter?: DrafterName | Drafter;
  /** Token ids, at least one per prompt. */
  readonly prompts: readonly (readonly number[])[];
  /** By name, or one of the caller's own. */
  readonly strategy: StrategyName | Strategy;
  readonly policy?: PolicyInput;
  /** Draw tokens in place of choosing the most likely. @default temperature 0 */
  readonly sampling?: SamplingInput | undefined;
  /** By prompt, the number of the noise that its tokens are drawn with. @default its index: every sequence has its own */
  readonly noises?: readonly number[] | undefined;
  /** Noise of analogue products, added to what the processor computes. @default none */
  readonly productNoise?: ProductNoise | undefined;
  /** Most new tokens per sequence. */
  readonly maxNewTokens: number;
  readonly machine: MachineSettings;
  /** @default cpu */
  readonly device?: DeviceChoice;
  /** End a sequence at the target's end-of-sequence ids. @default true */
  readonly stopAtEos?: boolean;
  readonly onProgress?: (progress: RunProgress) => void;
  readonly onToken?: TokenListener | undefined;
  /** With `adaptCandidates`: told once when proposing is found not to pay, so many seconds after the run began. */
  readonly onProposingStopped?: ((seconds: number) => void) | undefined;
  /** Aborting rejects the run with the signal's reason once the lanes have stopped. */
  readonly signal?: AbortSignal;
}

export interface RunProgress {
  readonly phase: PhaseName;
  /** Target passes finished. */
  readonly passes: number;
  readonly newTokens: number;
  /** Upper bound: sequences end earlier at an end-of-sequence token. */
  readonly maxNewTokens: number;
  readonly finishedSequences: number;
  readonly numSequences: number;
  readonly elapsedSeconds: number;
}

export interface GeneratedSequence {
  readonly ids: readonly number[];
  /** Top-1 minus top-2 logit of the target at each new token. */
  readonly margins: readonly number[];
  /** Smallest lead, over all layers, of the last chosen expert over the best one not chosen; Infinity if dense. */
  readonly routerMargins: readonly number[];
  readonly stopReason: StopReason;
}

export interface PoolReport {
  readonly peakBytes: number;
  readonly budgetBytes: number;
}

/** What a run and its prediction have in common. */
export interface RunOutcome {
  readonly policy: Policy;
  /** Useful tokens: those within each sequence's own limit. */
  readonly newTokens: number;
  /** All tokens, with those that a sequence generated beyond its limit while it waited for its batch's slowest. */
  readonly generatedTokens: number;
  /** Prefill and decode; opening files, pinning and loading the draft are not in it. */
  readonly seconds: number;
  /** newTokens / seconds. */
  readonly tokensPerSecond: number;
  readonly phases: Readonly<Record<PhaseName, PhaseReport>>;
  readonly acceptance: AcceptanceReport | null;
  /** Where candidates were prepared while others were verified: how often for what came. */
  readonly ahead?: AheadReport;
  /** Of a run whose target has experts: which its rows went to while it decoded. */
  readonly routing?: RoutingReport;
  /** With an expert cache: what it saved while the run decoded. */
  readonly experts?: ExpertReport;
  /** With `adaptCandidates`: rounds of batches, by the number of candidates that was chosen for them. */
  readonly roundsByCandidates?: readonly number[];
  /** With `adaptCandidates`: when proposing was first found not to pay; left out where it never was. */
  readonly proposingStoppedSeconds?: number;
  /** Where the host's share was balanced: of attention's projections and of FFNs, the mean of those that do not stay. */
  readonly hostShares?: SharesByKind;
  /** How the parts of a split batch overlapped, step by step; left out where they waited for each other. */
  readonly splitSteps?: readonly SplitSteps[];
  /** On a machine with crossbars, of a run that uses them. */
  readonly crossbars?: CrossbarReport;
  /** By lane that moves data. */
  readonly bytesMoved: Readonly<Record<LaneName, number>> & { readonly disk: number; readonly link: number };
  /** Peak of each pool. */
  readonly memoryBytes: ByMemory<number>;
  /** Target passes, prefill included. */
  readonly passes: number;
  /** What it took; null of a measured run where no counter could be read, left out where a machine does not say what it draws. */
  readonly energy?: Energy | null;
}

export interface RunResult extends RunOutcome {
  /** Its name. */
  readonly strategy: string;
  /** In the order of the prompts. */
  readonly sequences: readonly GeneratedSequence[];
  readonly setupSeconds: number;
  readonly memory: { readonly device: PoolReport; readonly host: PoolReport };
  /**
   * New tokens at which rounding may decide (see `isNearTie`): another order of computation may choose otherwise
   * there, and where an expert's choice was close, at any later token, which reads what that expert left in the cache.
   */
  readonly nearTies: number;
  /** sha256 of all new token ids, hex: equal digests mean equal output. */
  readonly outputDigest: string;
  /** How the device rounds: what is a tie on it. */
  readonly arithmetic: Arithmetic;
  readonly device: DeviceFacts;
  /** How busy its queues were, by its own clock; null where it has none. */
  readonly deviceUse: DeviceUse | null;
  /** What it drew; null where nobody tells. */
  readonly devicePower: DevicePower | null;
  /** Core implementation that ran. */
  readonly native: 'native' | 'twin';
  /** Whether the disk lane bypassed the page cache. */
  readonly directReads: boolean;
  /** Median and 95th percentile of end-to-next-start on lanes that had work ready, seconds. */
  readonly laneGaps: Readonly<Record<LaneName, LaneGaps>>;
  /** Ordered by start. */
  readonly spans: readonly Span[];
  /** For {@link memoryOverTime}. */
  readonly memoryLog: MemoryLog;
}

/** Asks for logits instead of a continuation. */
export type LogitsRequest = Pick<
  RunRequest,
  'target' | 'prompts' | 'machine' | 'device' | 'policy' | 'onProgress' | 'signal'
>;
