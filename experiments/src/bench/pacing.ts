/** How near paced lanes come to their caps in real runs: what was delivered while there was something to deliver. */

import {
  type Caps,
  type Checkpoint,
  cacheBytesPerToken,
  expertElements,
  localFormats,
  type Span,
} from '@specoffload/engine';
import { formatCap as formatRateOf, localSettings } from '../inputs/caps.js';
import type { Workload } from '../inputs/prompts.js';
import { type Job, runPlan } from '../job/execute.js';
import { type MeasuredSpec, specOfRun } from '../store/index.js';
import type { Output } from '../terminal/output.js';
import { formatTable } from '../terminal/table.js';

const capOf = {
  ...{ link: 'linkBytesPerSecond', disk: 'diskBytesPerSecond' },
  ...{ host: 'hostCacheBytesPerSecond', 'host experts': 'hostFlopsPerSecond' },
} as const satisfies Readonly<Record<string, keyof Caps>>;

type PacedLane = keyof typeof capOf;

export interface PacingResult {
  readonly lane: PacedLane;
  /** Bytes per second; of the host's experts, floating-point operations. */
  readonly cap: number;
  readonly delivered: number;
  /** delivered / cap. */
  readonly ratio: number;
  /** Of the run. */
  readonly spec: MeasuredSpec;
}

export interface PacingOptions {
  readonly target: Checkpoint;
  readonly workload: Workload;
  readonly output: Output;
  readonly signal: AbortSignal;
}

/** Below what the lane does without a cap, on any machine that this is likely to run on. */
const caps: Readonly<Record<PacedLane, readonly number[]>> = {
  link: [1e8, 3e8, 1e9, 2e9, 3e9, 5e9],
  disk: [1e8, 3e8, 6e8, 1e9],
  // KV cache that attention reads.
  host: [1e7, 3e7, 1e8],
  // FLOP/s.
  'host experts': [3e8, 1e9, 3e9],
};

/** A run lasts about so long at its cap, within limits. */
const runSeconds = 4;
const mostNewTokens = 40;

export async function measurePacing(options: PacingOptions): Promise<readonly PacingResult[]> {
  const results: PacingResult[] = [];
  for (const lane of ['link', 'disk', 'host', 'host experts'] as const)
    for (const cap of caps[lane]) {
      options.output.note(`bench: the ${lane} paced to ${formatCap(lane, cap)}`);
      results.push(await measureCap(lane, cap, options));
    }
  return results;
}

async function measureCap(
  lane: PacedLane,
  cap: number,
  { target, workload, signal }: PacingOptions,
): Promise<PacingResult> {
  const { prompts } = workload;
  const passes = Math.round((cap * runSeconds) / workOfPass(lane, target, prompts));
  const job: Job = {
    ...{ target, draft: null, tokenizer: null, workload, strategy: 'none', stopAtEos: false },
    maxNewTokens: Math.min(mostNewTokens, Math.max(2, passes)),
    machine: localSettings({
      deviceBytes: target.bytes,
      // Of the disk: nothing is kept. Of the others: the host keeps everything, and the disk rests.
      hostBytes: lane === 'disk' ? target.bytes : 2 * target.bytes,
      caps: { [capOf[lane]]: cap },
    }),
    policy: {
      pinnedLayers: 0,
      ...(lane === 'disk' ? { keptLayers: 0 } : {}),
      ...(lane === 'host experts' ? everyExpertOnHost : {}),
    },
  };
  const { spans } = await runPlan(job, signal);
  const delivered = deliveredRate(transfersOf(lane, spans, target, prompts));
  return { lane, cap, delivered, ratio: delivered / cap, spec: specOfRun(job) };
}

const everyExpertOnHost = { experts: 'routed', hostExpertRows: 1 << 20 } as const;

/** Bytes that cross the lane in a pass, or operations of its experts. */
function workOfPass(lane: PacedLane, target: Checkpoint, prompts: Workload['prompts']): number {
  if (lane === 'host') return cacheBytesOfPass(target, prompts, 0);
  if (lane !== 'host experts') return target.bytes;
  const elements = target.spec.layers.reduce(
    (sum, layer) => sum + layer.ffn.expertsPerToken * expertElements(target.spec, layer),
    0,
  );
  return 2 * prompts.length * elements;
}

/** What the lane was given in decode, and when; of the host's experts with operations in place of bytes. */
function transfersOf(
  lane: PacedLane,
  spans: readonly Span[],
  target: Checkpoint,
  prompts: Workload['prompts'],
) {
  if (lane === 'host experts')
    return spans
      .filter((span) => span.lane === 'host' && span.kind === 'expert' && span.phase === 'decode')
      .map((span) => ({ ...span, bytes: span.flops }));
  const own = spans.filter((span) => span.lane === lane && span.pass >= 0);
  return lane === 'host' ? withCacheBytes(own, target, prompts) : own;
}

function formatCap(lane: PacedLane, cap: number): string {
  return formatRateOf(capOf[lane], cap);
}

/** Without speculation, a pass reads what each sequence has been given so far; the prompts' pass is number 0. */
function cacheBytesOfPass(target: Checkpoint, prompts: Workload['prompts'], pass: number): number {
  const tokens = prompts.reduce((sum, { length }) => sum + length + pass, 0);
  return tokens * cacheBytesPerToken(target.spec, localFormats);
}

/** Spans of attention say how long it took, not what it read: a pass's bytes, spread over its spans. */
function withCacheBytes(spans: readonly Span[], target: Checkpoint, prompts: Workload['prompts']) {
  return spans.map((span) => ({
    ...span,
    bytes:
      cacheBytesOfPass(target, prompts, span.pass) / spans.filter(({ pass }) => pass === span.pass).length,
  }));
}

/** Bytes over the time from when a transfer could begin until it was done, overlaps once. */
export function deliveredRate(
  transfers: readonly Pick<Span, 'bytes' | 'readySeconds' | 'endSeconds'>[],
): number {
  const byReady = [...transfers].sort((a, b) => a.readySeconds - b.readySeconds);
  let seconds = 0;
  let coveredUntil = Number.NEGATIVE_INFINITY;
  for (const { readySeconds, endSeconds } of byReady) {
    seconds += Math.max(0, endSeconds - Math.max(readySeconds, coveredUntil));
    coveredUntil = Math.max(coveredUntil, endSeconds);
  }
  return transfers.reduce((sum, { bytes }) => sum + bytes, 0) / seconds;
}

export function sayPacing(results: readonly PacingResult[], output: Output): void {
  output.say('\npaced lanes: what they deliver while there is something to deliver');
  output.say(
    formatTable<PacingResult>(
      [
        { title: 'lane', align: 'left', text: ({ lane }) => lane },
        { title: 'cap', text: ({ lane, cap }) => formatCap(lane, cap) },
        { title: 'delivered', text: ({ lane, delivered }) => formatCap(lane, delivered) },
        { title: 'delivered / cap', text: ({ ratio }) => ratio.toFixed(3) },
      ],
      results,
    ),
  );
}
