/** Places of what is computed on the way: hidden states, scratch, rotation tables, an expert's rows on the host. */

import { codecs, f32 } from '@specoffload/native';
import { largest, sum } from '../extremes.js';
import {
  activationBytes,
  type Formats,
  hostActivationBytes,
  isImagined,
  isReadInHost,
} from '../machine/formats.js';
import type { PoolLayout as Pool } from '../machine/pool.js';
import { keyWidth, type LayerSpec, type ModelSpec, queryWidth } from '../model/spec.js';
import { alignUp, type GroupLayout, groupLayout, tensorAlignmentBytes } from './group-layout.js';
import {
  type FrameRegions,
  ffnChunkRows,
  headChunkRows,
  type ModelPlacement,
  type PlanRequest,
  type RopeRegions,
  type ScratchRegions,
} from './memory-plan.js';
import type { OpenPolicy } from './policy.js';
import { projectsOnHost } from './resident-layers.js';
import { sharesExperts } from './shared-experts.js';

/** Of every model once: the planner lays pools out thousands of times. */
function oncePerModel<T>(compute: (spec: ModelSpec) => T): (spec: ModelSpec) => T {
  const known = new WeakMap<ModelSpec, T>();
  return (spec) => {
    const value = known.get(spec) ?? compute(spec);
    known.set(spec, value);
    return value;
  };
}

/** The widest of what a model's layers have on the way. */
const widestOf = oncePerModel(({ layers }) => {
  const widest = (width: (layer: LayerSpec) => number) => largest(layers.map(width));
  return {
    queries: widest(({ attention }) => queryWidth(attention)),
    keys: widest(({ attention }) => keyWidth(attention)),
    experts: widest(({ ffn }) => ffn.numExperts),
    choices: widest(({ ffn }) => ffn.expertsPerToken),
    ffn: widest(({ ffn }) => Math.max(ffn.width, ffn.sharedWidth ?? 0)),
    shared: widest(({ ffn }) => ffn.sharedWidth ?? 0),
  };
});

/**
 * The provider allocates the products inside an FFN itself: gate, its sigmoid, and up, each (row, ffn). Where both are
 * clamped, there is one more at a time.
 */
function ffnWorkspaceRows({ layers }: ModelSpec): number {
  return layers.some(({ ffn }) => ffn.activation === 'clamped-swiglu') ? 4 : 3;
}

/** A frame's part of the memory that its model computes on. */
export function placeFrame(
  spec: ModelSpec,
  rows: number,
  device: Pool,
  formats: Formats,
): Pick<FrameRegions, 'hidden' | 'normed' | 'routes'> {
  const place = () => device.place('activations', activationBytes(formats, rows * spec.hiddenSize));
  const { experts, choices } = widestOf(spec);
  const listsRows = experts > 1 && !isImagined(formats);
  return {
    hidden: [place(), place()],
    normed: place(),
    routes: listsRows ? device.place('activations', f32.bytes(4 * rows * choices)) : null,
  };
}

/** Its part of host memory, as far as the host computes anything. */
export function placeHostFrame(
  request: PlanRequest,
  rows: number,
  decodeRows: number,
  pool: Pool,
): Pick<FrameRegions, 'host' | 'hostExperts' | 'hostLayer'> {
  const { target, policy, formats } = request;
  const { attention, prefillAttention, hostExpertRows } = policy;
  const { hiddenSize } = target.spec;
  const { queries, keys, experts } = widestOf(target.spec);
  const place = (numRows: number, width: number) =>
    pool.place('activations', hostActivationBytes(formats, numRows * width));
  const exchange = () => ({
    q: place(rows, queries),
    k: place(rows, keys),
    v: place(rows, keys),
    out: place(rows, queries),
  });
  const host = attention !== 'device' || prefillAttention === 'host' ? exchange() : null;
  const sharedRows = sharesExperts(request) ? decodeRows : 0;
  const outRows = Math.max(Math.min(rows, hostExpertRows), sharedRows);
  const normedRows = hostExpertRows > 0 ? rows : sharedRows;
  const hostExperts =
    outRows > 0 ? { normed: place(normedRows, hiddenSize), out: place(outRows, hiddenSize) } : null;
  if (!projectsOnHost(request) || decodeRows === 0) return { host, hostExperts, hostLayer: null };
  const hidden = () => place(decodeRows, hiddenSize);
  const hostLayer = { x: hidden(), y: hidden(), router: place(decodeRows, experts) };
  return { host, hostExperts, hostLayer: { ...hostLayer, normed: hostExperts?.normed ?? hidden() } };
}

/** Null unless the host computes products. */
export function placeHostScratch(
  request: PlanRequest,
  rows: number,
  host: Pool,
): ModelPlacement['hostScratch'] {
  const { target, policy, layouts, formats } = request;
  const { weightElementBytes, hostWeightElementBytes = weightElementBytes } = formats;
  const shares = sharesExperts(request);
  const computesExperts = policy.hostExpertRows > 0 || shares;
  const used = target.layers.flatMap(({ attention, experts }) => [
    ...(projectsOnHost(request) ? [attention] : []),
    ...(computesExperts ? experts : []),
  ]);
  if (used.length === 0) return null;
  const sharedRows = projectsOnHost(request) ? Math.min(rows, ffnChunkRows) : 0;
  const gatheredRows = computesExperts ? mostGathered(request, rows) : 0;
  reserveWorkspace(request, sharedRows, gatheredRows, host);
  const gathered = computesExperts
    ? host.place('scratch', hostActivationBytes(formats, gatheredRows * target.spec.hiddenSize))
    : null;
  if (hostWeightElementBytes === null) return { gathered, weights: null };
  const widened = used.map((group) =>
    widenedBytesOf(groupLayout(layouts, group), hostWeightElementBytes, shares),
  );
  return { gathered, weights: host.place('scratch', largest(widened)) };
}

/** An expert's rows, a piece at a time. */
function mostGathered(request: PlanRequest, rows: number): number {
  return Math.min(rows, sharesExperts(request) ? rows : request.policy.hostExpertRows, ffnChunkRows);
}

/** What the provider allocates besides, for a shared expert's rows or another's. */
function reserveWorkspace(
  { target: { spec }, formats }: PlanRequest,
  sharedRows: number,
  gatheredRows: number,
  host: Pool,
): void {
  const { ffn, shared } = widestOf(spec);
  const elements = ffnWorkspaceRows(spec) * Math.max(sharedRows * shared, gatheredRows * ffn);
  if (elements > 0) host.reserve('provider workspace', hostActivationBytes(formats, elements));
}

/** Of weights that the host computes with: what it does not take as it is stored. */
function widenedBytesOf({ tensors }: GroupLayout, elementBytes: number, areCut: boolean): number {
  const bytes = tensors.map((tensor) => {
    const { role, dtype, count } = tensor;
    if (!isReadInHost(tensor)) return count * elementBytes;
    return areCut && role === 'down' ? codecs[dtype].bytes(count) : 0;
  });
  return sum(bytes.map((byteLength) => alignUp(byteLength, tensorAlignmentBytes)));
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

/** Of each layer the first that rotates as it does. */
const firstAlike = oncePerModel(({ layers }) => {
  const keys = layers.map(({ attention: { headDim, rope } }) => JSON.stringify([headDim, rope]));
  return keys.map((key) => keys.indexOf(key));
});

/** Tables by layer; layers that rotate alike share them. */
export function placeRope(spec: ModelSpec, numPositions: number, pool: Pool): RopeRegions[] {
  const placed: RopeRegions[] = [];
  for (const [layer, first] of firstAlike(spec).entries()) {
    const bytes = f32.bytes(numPositions * (spec.layers[layer].attention.headDim / 2));
    const place = () => pool.place('rotation tables', bytes);
    placed.push(first < layer ? placed[first] : { cos: place(), sin: place() });
  }
  return placed;
}
