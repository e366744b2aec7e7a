/** How large an inflated model becomes: from a request to a configuration, or a sentence why not. */

import { UserError } from '@specoffload/input';
import { codecs } from '@specoffload/native';
import { type GroupSpec, modelGroups } from './roles.js';
import { tensorBytes } from './safetensors.js';
import { createLayers, type FfnSpec, type LayerSpec, type ModelSpec } from './spec.js';
import type { Checkpoint, WeightGroup } from './types.js';

export interface InflationRequest {
  /** Stored bytes of all tensors, reached within 1 %. Chooses layers and FFN width where they are not given. */
  readonly bytes?: number;
  /** @default the source's, or with `bytes` as many as fit, up to 32 */
  readonly layers?: number;
  /** Where the source has experts: theirs times a power of two. @default the source's */
  readonly experts?: number;
  /** Width of one FFN or expert. @default the source's, or with `bytes` what fills it, in steps of 16 */
  readonly ffnSize?: number;
}

export interface InflationPlan {
  readonly spec: ModelSpec;
  /** Parts that each source expert is divided into; 1 for none. */
  readonly parts: number;
  /** Stored bytes of all tensors. */
  readonly bytes: number;
}

const mostLayersByDefault = 32;
/** Rows of so many values are whole blocks where they are packed. */
const packedStep = codecs.bf16_packed.blockElements;
/** Widths are multiples of the first that comes near enough. */
const ffnSteps = [packedStep, 16];
/** Of the layers that there could be: so many are given up for a width that can be packed. */
const layersForWidth = 7 / 8;
const tolerance = 0.01;

/** @throws UserError when the request is smaller than the source, contradicts itself or cannot be reached. */
export function planInflation(source: Checkpoint, request: InflationRequest): InflationPlan {
  const { spec } = source;
  const ffn = ffnOf(spec);
  const numLayers = spec.layers.length;
  if (Object.values(request).every((value) => value === undefined)) {
    throw new UserError(
      'invalid inflation: nothing given; expected bytes, layers, experts or ffnSize; give at least one',
    );
  }
  const parts = planParts(spec, request.experts);
  const narrowest = Math.ceil(ffn.width / parts);
  requireAtLeast('layers', request.layers, numLayers);
  requireAtLeast('ffnSize', request.ffnSize, narrowest);
  requireAtLeast('bytes', request.bytes, source.bytes);

  const plan = (layers: number, ffnSize: number): InflationPlan => {
    const inflated = inflateSpec(spec, parts, layers, ffnSize);
    return { spec: inflated, parts, bytes: storedBytes(source, inflated) };
  };
  if (request.bytes === undefined) return plan(request.layers ?? numLayers, request.ffnSize ?? ffn.width);
  return fitBytes(request.bytes, numLayers, narrowest, request, plan);
}

/**
 * The largest number of layers that reaches the size within the tolerance, a few less where their FFNs can then be
 * packed. For one number of layers the bytes grow linearly with the FFN's width, so the best width is one division away.
 */
function fitBytes(
  bytes: number,
  sourceLayers: number,
  narrowest: number,
  request: InflationRequest,
  plan: (layers: number, ffnSize: number) => InflationPlan,
): InflationPlan {
  const most = request.layers ?? Math.max(mostLayersByDefault, sourceLayers);
  const fewest = request.layers ?? sourceLayers;
  const shapes = (least: number, steps: readonly number[]) =>
    range(most, Math.max(fewest, Math.ceil(least))).flatMap((layers) =>
      steps.map((step) => ({ layers, step })),
    );
  let closest: InflationPlan | undefined;
  for (const { layers, step } of [
    ...shapes(layersForWidth * most, [packedStep]),
    ...shapes(fewest, ffnSteps),
  ]) {
    const candidate = plan(
      layers,
      request.ffnSize ?? fitWidth(bytes, narrowest, step, (ffnSize) => plan(layers, ffnSize).bytes),
    );
    const error = Math.abs(candidate.bytes - bytes);
    if (error <= tolerance * bytes) return candidate;
    if (closest === undefined || error < Math.abs(closest.bytes - bytes)) closest = candidate;
  }
  const { layers } = closest!.spec;
  throw new UserError(
    `invalid bytes: ${bytes}; the closest size that can be reached is ${closest!.bytes} (${layers.length} layers, FFN width ${ffnOf(closest!.spec).width}); ask for that, or give layers and ffnSize`,
  );
}

/** From the first down to the last. */
function range(first: number, last: number): number[] {
  return Array.from({ length: Math.max(0, first - last + 1) }, (_, index) => first - index);
}

function fitWidth(
  bytes: number,
  narrowest: number,
  step: number,
  bytesAt: (ffnSize: number) => number,
): number {
  const bytesPerColumn = bytesAt(narrowest + 1) - bytesAt(narrowest);
  const ideal = narrowest + (bytes - bytesAt(narrowest)) / bytesPerColumn;
  const rounded = Math.round(ideal / step) * step;
  return Math.max(narrowest, rounded);
}

/** Of any layer that grows: inflation needs those FFNs to be alike. */
export function ffnOf(spec: ModelSpec): FfnSpec {
  const [ffn, ...others] = spec.layers.filter((layer) => grows(spec, layer)).map((layer) => layer.ffn);
  const isAlike = (other: FfnSpec) => other.width === ffn.width && other.numExperts === ffn.numExperts;
  if (others.every(isAlike)) return ffn;
  throw new UserError(
    `a ${spec.architecture} model whose layers have FFNs of different sizes cannot be inflated; expected them to be alike; use another model`,
  );
}

/** Dense layers between layers with experts stay as they are. */
function grows({ layers }: ModelSpec, { ffn }: LayerSpec): boolean {
  return ffn.router !== null || layers.every((layer) => layer.ffn.router === null);
}

export function planParts(spec: ModelSpec, experts: number | undefined): number {
  const { numExperts, router } = ffnOf(spec);
  if (experts === undefined || experts === numExperts) return 1;
  const parts = experts / numExperts;
  if (router === null) {
    throw new UserError(
      `invalid experts: ${experts}; expected none for a ${spec.architecture} model; inflate its layers or ffnSize instead`,
    );
  }
  // A power of two, because the down projections are multiplied by it and have to stay exact in bf16.
  if (parts >= 1 && Number.isInteger(Math.log2(parts))) return parts;
  throw new UserError(
    `invalid experts: ${experts}; expected ${numExperts} times a power of two; choose such a number`,
  );
}

/** @throws UserError */
export function requireAtLeast(name: string, value: number | undefined, smallest: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= smallest)) return;
  throw new UserError(
    `invalid ${name}: ${value}; expected an integer of at least ${smallest}, since inflation only adds; ask for more or omit it`,
  );
}

function inflateSpec(spec: ModelSpec, parts: number, numLayers: number, width: number): ModelSpec {
  const layers = createLayers(numLayers, (layer) => {
    const source = spec.layers[sourceLayerOf(layer, spec.layers.length, numLayers)];
    if (!grows(spec, source)) return source;
    const [numExperts, expertsPerToken] = [source.ffn.numExperts, source.ffn.expertsPerToken];
    const divided = { numExperts: numExperts * parts, expertsPerToken: expertsPerToken * parts };
    return { ...source, ffn: { ...source.ffn, ...divided, width } };
  });
  return { ...spec, layers };
}

/**
 * The source's layer that layer `layer` of the inflated model is, or is modelled on. The source's layers are spread
 * evenly; each is followed by the extra ones modelled on it.
 */
export function sourceLayerOf(layer: number, sourceLayers: number, inflatedLayers: number): number {
  return Math.floor((layer * sourceLayers) / inflatedLayers);
}

/** Whether a layer of the inflated model is the source's own rather than an extra one. */
export function isSourceLayer(layer: number, sourceLayers: number, inflatedLayers: number): boolean {
  const here = sourceLayerOf(layer, sourceLayers, inflatedLayers);
  return layer === 0 || here !== sourceLayerOf(layer - 1, sourceLayers, inflatedLayers);
}

export interface GroupPair {
  readonly spec: GroupSpec;
  /** The source's group whose contents and dtypes it takes. */
  readonly from: WeightGroup;
  /** Parts that each of the source layer's experts is divided into; 1 for none. */
  readonly parts: number;
}

/** Every group of the inflated model, in file order. */
export function pairGroups(source: Checkpoint, spec: ModelSpec): GroupPair[][] {
  const groups = modelGroups(spec);
  const layers = groups.layers.map(({ attention, experts }, layer) => {
    const from = source.layers[sourceLayerOf(layer, source.layers.length, groups.layers.length)];
    const parts = experts.length / from.experts.length;
    const pairs = experts.map((expert, index) => ({
      ...{ spec: expert, from: from.experts[Math.floor(index / parts)], parts },
    }));
    return [{ spec: attention, from: from.attention, parts }, ...pairs];
  });
  return [
    [{ spec: groups.embedding, from: source.embedding, parts: 1 }],
    ...layers,
    [{ spec: groups.head, from: source.head, parts: 1 }],
  ];
}

function storedBytes(source: Checkpoint, spec: ModelSpec): number {
  const bytesOf = new Map<string, number>(); // by name, so that a tied embedding counts once
  for (const { spec: group, from } of pairGroups(source, spec).flat()) {
    for (const [i, { name, shape }] of group.tensors.entries()) {
      const { ref } = from.tensors[i];
      const isAlike = shape.every((size, side) => size === ref.shape[side]);
      bytesOf.set(name, isAlike ? ref.byteLength : tensorBytes(ref.dtype, shape));
    }
  }
  return [...bytesOf.values()].reduce((total, bytes) => total + bytes, 0);
}
