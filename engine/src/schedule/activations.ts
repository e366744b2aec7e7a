/** Places of what is computed on the way: hidden states, scratch, rotation tables, an expert's rows on the host. */

import { largest } from '../extremes.js';
import type { Formats } from '../machine/formats.js';
import type { PoolLayout as Pool } from '../machine/pool.js';
import type { ModelConfig } from '../model/types.js';
import { groupLayout } from './group-layout.js';
import {
  type FrameRegions,
  ffnChunkRows,
  type HostExpertRegions,
  headChunkRows,
  type ModelPlacement,
  type PlanRequest,
  type RopeRegions,
  type ScratchRegions,
} from './memory-plan.js';
import type { OpenPolicy } from './policy.js';

export function placeFrame(
  config: ModelConfig,
  rows: number,
  device: Pool,
  host: Pool | null,
  { activationElementBytes }: Formats,
): Omit<FrameRegions, 'hostExperts'> {
  const hiddenBytes = rows * config.hiddenSize * activationElementBytes;
  const queryBytes = rows * config.numHeads * config.headDim * activationElementBytes;
  const keyBytes = rows * config.numKvHeads * config.headDim * activationElementBytes;
  const label = 'activations';
  return {
    hidden: [device.place(label, hiddenBytes), device.place(label, hiddenBytes)],
    normed: device.place(label, hiddenBytes),
    host: host && {
      q: host.place(label, queryBytes),
      k: host.place(label, keyBytes),
      v: host.place(label, keyBytes),
      out: host.place(label, queryBytes),
    },
  };
}

export function placeHostExpertRows(
  { target, policy, formats }: PlanRequest,
  rows: number,
  host: Pool,
): FrameRegions['hostExperts'] {
  const rowBytes = target.config.hiddenSize * formats.activationElementBytes;
  return {
    normed: host.place('activations', rows * rowBytes),
    out: host.place('activations', Math.min(rows, policy.hostExpertRows) * rowBytes),
  };
}

export function placeHostExperts(
  { target, policy, layouts, formats }: PlanRequest,
  rows: number,
  host: Pool,
): HostExpertRegions {
  const { hiddenSize, ffnSize } = target.config;
  const chunkRows = Math.min(rows, policy.hostExpertRows, ffnChunkRows);
  host.reserve('provider workspace', 3 * chunkRows * ffnSize * formats.activationElementBytes);
  const widenedBytes = target.layers[0].experts.map((group) => groupLayout(layouts, group).deviceBytes);
  return {
    gathered: host.place('scratch', chunkRows * hiddenSize * formats.activationElementBytes),
    weights: formats.weightElementBytes === null ? null : host.place('scratch', largest(widenedBytes)),
  };
}

export function placeScratch(
  config: ModelConfig,
  rows: number,
  device: Pool,
  { activationElementBytes }: Formats,
): ScratchRegions {
  const floats = (count: number) => device.place('scratch', count * activationElementBytes);
  const { hiddenSize, numHeads, numKvHeads, headDim, ffnSize, vocabSize, numExperts } = config;
  // The provider allocates the products inside an FFN itself: gate, its sigmoid, and up, each (row, ffn).
  device.reserve('provider workspace', 3 * Math.min(rows, ffnChunkRows) * ffnSize * activationElementBytes);
  return {
    q: floats(rows * numHeads * headDim),
    k: floats(rows * numKvHeads * headDim),
    v: floats(rows * numKvHeads * headDim),
    attention: floats(rows * numHeads * headDim),
    router: floats(rows * numExperts),
    gathered: floats(Math.min(rows, ffnChunkRows) * hiddenSize),
    ffnOut: floats(Math.min(rows, ffnChunkRows) * hiddenSize),
    headIn: floats(Math.min(rows, headChunkRows) * hiddenSize),
    logits: floats(Math.min(rows, headChunkRows) * vocabSize),
  };
}

export function placeRopes(
  config: ModelConfig,
  numPositions: number,
  host: Pool,
  device: Pool,
  { attention, prefillAttention }: OpenPolicy,
): ModelPlacement['rope'] {
  const lanes = [attention === 'split' ? 'host' : attention, prefillAttention];
  return {
    host: lanes.includes('host') ? placeRope(config, numPositions, host) : null,
    device:
      lanes.includes('device') || attention === 'split' ? placeRope(config, numPositions, device) : null,
  };
}

export function placeRope(config: ModelConfig, numPositions: number, pool: Pool): RopeRegions {
  const bytes = (numPositions * config.headDim * 4) / 2;
  return { cos: pool.place('rotation tables', bytes), sin: pool.place('rotation tables', bytes) };
}
