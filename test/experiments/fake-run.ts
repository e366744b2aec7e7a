/** A finished run as the engine would return it, without an engine. */

import {
  type Checkpoint,
  f32Arithmetic,
  noCaps,
  type Policy,
  parseModelSpec,
  type RunResult,
  type Span,
  type StrategyName,
  type Tokenizer,
} from '@specoffload/engine';
import type { LocalSettings } from '../../experiments/src/inputs/caps.js';
import { type MeasuredRun, specOfRun } from '../../experiments/src/store/index.js';

const spec = parseModelSpec(
  {
    ...{
      model_type: 'mixtral',
      vocab_size: 100,
      hidden_size: 8,
      num_hidden_layers: 1,
      intermediate_size: 16,
    },
    ...{ num_attention_heads: 2, num_key_value_heads: 1, num_local_experts: 2, num_experts_per_tok: 1 },
    ...{ max_position_embeddings: 128, tie_word_embeddings: true, eos_token_id: 0 },
  },
  'config.json',
);

export function fakeCheckpoint(name: string, digest: string): Checkpoint {
  const group = { id: 'embedding', kind: 'embedding', layer: -1, expert: -1 } as const;
  const empty = { ...group, tensors: [], storedBytes: 0, deviceBytes: 0 };
  return {
    directory: `/models/${name}`,
    name,
    spec,
    tensors: new Map(),
    embedding: empty,
    head: empty,
    layers: [],
    parameters: 1000,
    bytes: 2000,
    digest: digest.repeat(64).slice(0, 64),
  };
}

export const fakeMachine: LocalSettings = {
  deviceBytes: 5e8,
  hostBytes: 5e8,
  deviceCores: 1,
  hostCores: 1,
  readsInFlight: 4,
  caps: noCaps,
  deviceCacheFactor: 1,
  draftCacheFactor: 1,
  ...{ native: 'auto', device: 'cpu' },
};

/** Every id is one letter. */
export const fakeTokenizer: Tokenizer = {
  vocabSize: 26,
  digest: 'letters',
  encode: (text) => [...text].map((letter) => letter.charCodeAt(0) - 97),
  decode: (ids) => ids.map((id) => String.fromCharCode(97 + id)).join(''),
};

export function fakeResult(changes: Partial<RunResult> = {}): RunResult {
  const lane = { busySeconds: 0.5, utilization: 0.5, bytes: 0, numTasks: 3 };
  const disk = { busySeconds: 0.97, utilization: 0.97, bytes: 1e9, numTasks: 30 };
  const deviceIdle = { weights: 0.375, attention: 0.125, draft: 0, nothing: 0 };
  const phase = { seconds: 1, lanes: { disk, link: lane, host: lane, device: lane }, deviceIdle };
  const gap = { median: 1e-5, p95: 1e-4, count: 10 };
  const span: Span = {
    id: 0,
    lane: 'disk',
    kind: 'load',
    name: 'load layer.0.expert.1',
    phase: 'decode',
    pass: 1,
    batch: -1,
    readySeconds: 0,
    startSeconds: 0.25,
    endSeconds: 0.5,
    bytes: 4096,
    rows: 0,
    flops: 0,
  };
  return {
    strategy: 'serial',
    // Of a run from before candidates could be adapted, whose key must stay.
    policy: {
      speculation: 'serial',
      decodeBatch: 2,
      batches: 1,
      prefillBatch: 2,
      prefillOrder: 'layer-major',
      draftBatch: 2,
      candidates: 4,
      draftCache: 'resident',
      pinnedLayers: 0,
      keptLayers: 0,
      prefetchDepth: 4,
      ...{ microBatch: 2, draftWindow: 64, cache: 'host', attention: 'host', prefillAttention: 'host' },
      ...{ projections: 'device', streaming: 'ahead', attentionWeights: 'streamed', experts: 'all' },
      ...{ hostExpertRows: 0, hostShare: 0, pageLocked: 1, draftPlacement: 'start' },
      ...{ ending: 'own-limit', refill: 'no' },
    } as Policy,
    generatedTokens: 4,
    memoryBytes: { device: 4e8, host: 1e8 },
    sequences: [
      { ids: [7, 8], margins: [0.5, 0.25], routerMargins: [0.1, 0.2], stopReason: 'length' },
      { ids: [9, 0], margins: [1.5, 2], routerMargins: [0.1, 0.2], stopReason: 'eos' },
    ],
    newTokens: 4,
    seconds: 2,
    setupSeconds: 0.1,
    tokensPerSecond: 2,
    phases: { prefill: phase, decode: phase },
    acceptance: {
      proposed: 4,
      accepted: 2,
      rate: 0.5,
      tokensPerRound: 2,
      byPosition: [{ proposed: 4, accepted: 2 }],
    },
    memory: {
      device: { peakBytes: 4e8, budgetBytes: 5e8 },
      host: { peakBytes: 1e8, budgetBytes: 5e8 },
    },
    bytesMoved: { disk: 2e9, link: 1e9 },
    passes: 2,
    nearTies: 0,
    outputDigest: 'ab'.repeat(32),
    arithmetic: f32Arithmetic,
    device: { name: 'fake', driver: null, link: 'none', hasCopyQueue: true },
    ...{ deviceUse: null, devicePower: null },
    native: 'native',
    directReads: true,
    laneGaps: { disk: gap, link: gap, host: gap, device: gap },
    spans: [span],
    memoryLog: { resident: { device: [{ seconds: 0, bytes: 3e8 }], host: [] }, buffers: [] },
    ...changes,
  };
}

export function fakeRun(changes: Partial<MeasuredRun> = {}): MeasuredRun {
  const run = {
    result: fakeResult(),
    target: fakeCheckpoint('target', 'a'),
    draft: fakeCheckpoint('draft', 'b'),
    machine: fakeMachine,
    workload: { name: 'code', prompts: [[1, 2, 3], [4]] },
    maxNewTokens: 2,
    stopAtEos: true,
    seed: 0,
    createdAt: new Date('2026-01-31T12:00:00Z'),
    provenance: {
      commit: 'c'.repeat(40),
      dirty: false,
      node: '20.19.0',
      packages: { 'onnxruntime-node': '1.30.0' },
      cpu: 'some cpu',
      cores: 2,
      memoryBytes: 8e9,
    },
    ...changes,
  };
  const { policy } = run.result;
  const strategy = run.result.strategy as StrategyName;
  return { spec: specOfRun({ ...run, strategy, policy }), ...run };
}
