/** Places of what is computed on the way: hidden states, scratch, rotation tables, an expert's rows on the host. */

import { f32 } from '@specoffload/native';
import { largest } from '../extremes.js';
import {
  activationBytes,
  type Formats,
  hostActivationBytes,
  isKept,
  localFormats,
} from '../machine/formats.js';
import type { PoolLayout as Pool } from '../machine/pool.js';
import { keyWidth, type LayerSpec, type ModelSpec, queryWidth } from '../model/spec.js';
import { alignUp, type GroupLayout, groupLayout, tensorAlignmentBytes } from './group-layout.js';
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

/** The widest of what a model's layers have on the way. */
function widestOf({ layers }: ModelSpec) {
  const widest = (width: (layer: LayerSpec) => number) => largest(layers.map(width));
  return {
    queries: widest(({ attention }) => queryWidth(attention)),
    keys: widest(({ attention }) => keyWidth(attention)),
    experts: widest(({ ffn }) => ffn.numExperts),
    ffn: widest(({ ffn }) => ffn.width),
  };
}

/**
 * The provider allocates the products inside an FFN itself: gate, its sigmoid, and up, each (row, ffn). Where both are
 * clamped, there is one more at a time.
 */
function ffnWorkspaceRows({ layers }: ModelSpec): number {
  return layers.some(({ ffn }) => ffn.activation === 'clamped-swiglu') ? 4 : 3;
}

export function placeFrame(
  spec: ModelSpec,
  rows: number,
  device: Pool,
  host: Pool | null,
  formats: Formats,
): Omit<FrameRegions, 'hostExperts'> {
  const { queries, keys } = widestOf(spec);
  const hiddenBytes = activationBytes(formats, rows * spec.hiddenSize);
  const queryBytes = hostActivationBytes(formats, rows * queries);
  const keyBytes = hostActivationBytes(formats, rows * keys);
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
  const rowBytes = hostActivationBytes(formats, target.spec.hiddenSize);
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
  const { hiddenSize } = target.spec;
  const chunkRows = Math.min(rows, policy.hostExpertRows, ffnChunkRows);
  const workspaceRows = ffnWorkspaceRows(target.spec) * chunkRows;
  host.reserve('provider workspace', hostActivationBytes(formats, workspaceRows * widestOf(target.spec).ffn));
  const { weightElementBytes, hostWeightElementBytes = weightElementBytes } = formats;
  const widenedBytes = target.layers.map(({ experts }) =>
    largest(experts.map((group) => widenedBytesOf(groupLayout(layouts, group), hostWeightElementBytes))),
  );
  return {
    gathered: host.place('scratch', hostActivationBytes(formats, chunkRows * hiddenSize)),
    weights: hostWeightElementBytes === null ? null : host.place('scratch', largest(widenedBytes)),
  };
}

/** Of an expert that the host computes with: what it does not take as stored. */
function widenedBytesOf({ tensors }: GroupLayout, elementBytes: number | null): number {
  if (elementBytes === null) return 0;
  const widened = tensors.filter((tensor) => !isKept(localFormats, tensor));
  return widened.reduce((sum, { count }) => sum + alignUp(count * elementBytes, tensorAlignmentBytes), 0);
}

export function placeScratch(spec: ModelSpec, rows: number, device: Pool, formats: Formats): ScratchRegions {
  const floats = (count: number) => device.place('scratch', activationBytes(formats, count));
  const { hiddenSize, vocabSize } = spec;
  const { queries, keys, experts, ffn } = widestOf(spec);
  const workspaceRows = ffnWorkspaceRows(spec) * Math.min(rows, ffnChunkRows);
  device.reserve('provider workspace', activationBytes(formats, workspaceRows * ffn));
  return {
    q: floats(rows * queries),
    k: floats(rows * keys),
    v: floats(rows * keys),
    attention: floats(rows * queries),
    router: floats(rows * experts),
    gathered: floats(Math.min(rows, ffnChunkRows) * hiddenSize),
    ffnOut: floats(Math.min(rows, ffnChunkRows) * hiddenSize),
    headIn: floats(Math.min(rows, headChunkRows) * hiddenSize),
    logits: floats(Math.min(rows, headChunkRows) * vocabSize),
  };
}

export function placeRopes(
  spec: ModelSpec,
  numPositions: number,
  host: Pool,
  device: Pool,
  { attention, prefillAttention }: OpenPolicy,
): ModelPlacement['rope'] {
  const lanes = [attention === 'split' ? 'host' : attention, prefillAttention];
  return {
    host: lanes.includes('host') ? placeRope(spec, numPositions, host) : null,
    device: lanes.includes('device') || attention === 'split' ? placeRope(spec, numPositions, device) : null,
  };
}

/** What the host has to have of the weights to compute attention: nothing of most models. */
export function placeHostSinks(
  { layers }: ModelSpec,
  host: Pool,
  { attention, prefillAttention }: OpenPolicy,
): ModelPlacement['hostSinks'] {
  if (attention === 'device' && prefillAttention === 'device') return null;
  return layers.map(({ attention: { sinks, numHeads } }) =>
    sinks ? host.place('attention sinks', f32.bytes(numHeads)) : null,
  );
}

/** Tables by layer; layers that rotate alike share them. */
export function placeRope({ layers }: ModelSpec, numPositions: number, pool: Pool): RopeRegions[] {
  const placed = new Map<string, RopeRegions>();
  return layers.map(({ attention: { headDim, rope } }) => {
    const key = JSON.stringify([headDim, rope]);
    const bytes = f32.bytes(numPositions * (headDim / 2));
    const place = () => pool.place('rotation tables', bytes);
    const regions = placed.get(key) ?? { cos: place(), sin: place() };
    placed.set(key, regions);
    return regions;
  });
}
