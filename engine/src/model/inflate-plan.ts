/** How large an inflated model becomes: from a request to a configuration, or a sentence why not. */

import { UserError } from '@specoffload/input';
import { attentionSpec, embeddingSpec, expertSpec, type GroupSpec, headSpec } from './roles.js';
import { tensorBytes } from './safetensors.js';
import type { Checkpoint, ModelConfig, WeightGroup } from './types.js';

export interface InflationRequest {
  /** Stored bytes of all tensors, reached within 1 %. Chooses layers and FFN width where they are not given. */
  readonly bytes?: number;
  /** @default the source's, or with `bytes` as many as fit, up to 32 */
  readonly layers?: number;
  /** Mixtral only: the source's times a power of two. @default the source's */
  readonly experts?: number;
  /** Width of one FFN or expert. @default the source's, or with `bytes` what fills it, in steps of 16 */
  readonly ffnSize?: number;
}

export interface InflationPlan {
  readonly config: ModelConfig;
  /** Parts that each source expert is divided into; 1 for none. */
  readonly parts: number;
  /** Stored bytes of all tensors. */
  readonly bytes: number;
}

const mostLayersByDefault = 32;
const ffnStep = 16;
const tolerance = 0.01;

/** @throws UserError when the request is smaller than the source, contradicts itself or cannot be reached. */
export function planInflation(source: Checkpoint, request: InflationRequest): InflationPlan {
  const { config } = source;
  if (Object.values(request).every((value) => value === undefined)) {
    throw new UserError(
      'invalid inflation: nothing given; expected bytes, layers, experts or ffnSize; give at least one',
    );
  }
  const parts = planParts(config, request.experts);
  const narrowest = Math.ceil(config.ffnSize / parts);
  requireAtLeast('layers', request.layers, config.numLayers);
  requireAtLeast('ffnSize', request.ffnSize, narrowest);
  requireAtLeast('bytes', request.bytes, source.bytes);

  const plan = (layers: number, ffnSize: number): InflationPlan => {
    const inflated = inflatedConfig(config, parts, layers, ffnSize);
    return { config: inflated, parts, bytes: storedBytes(source, inflated, parts) };
  };
  if (request.bytes === undefined)
    return plan(request.layers ?? config.numLayers, request.ffnSize ?? config.ffnSize);
  return fitBytes(request.bytes, config, narrowest, request, plan);
}

/**
 * The largest number of layers that reaches the size within the tolerance. For one number of layers the bytes grow
 * linearly with the FFN's width, so the best width is one division away.
 */
function fitBytes(
  bytes: number,
  config: ModelConfig,
  narrowest: number,
  request: InflationRequest,
  plan: (layers: number, ffnSize: number) => InflationPlan,
): InflationPlan {
  const most = request.layers ?? Math.max(mostLayersByDefault, config.numLayers);
  const fewest = request.layers ?? config.numLayers;
  let closest: InflationPlan | undefined;
  for (let layers = most; layers >= fewest; layers--) {
    const candidate = plan(
      layers,
      request.ffnSize ?? fitWidth(bytes, narrowest, (ffnSize) => plan(layers, ffnSize).bytes),
    );
    const error = Math.abs(candidate.bytes - bytes);
    if (error <= tolerance * bytes) return candidate;
    if (closest === undefined || error < Math.abs(closest.bytes - bytes)) closest = candidate;
  }
  const { numLayers, ffnSize } = closest!.config;
  throw new UserError(
    `invalid bytes: ${bytes}; the closest size that can be reached is ${closest!.bytes} (${numLayers} layers, FFN width ${ffnSize}); ask for that, or give layers and ffnSize`,
  );
}

function fitWidth(bytes: number, narrowest: number, bytesAt: (ffnSize: number) => number): number {
  const bytesPerColumn = bytesAt(narrowest + 1) - bytesAt(narrowest);
  const ideal = narrowest + (bytes - bytesAt(narrowest)) / bytesPerColumn;
  const rounded = Math.round(ideal / ffnStep) * ffnStep;
  return Math.max(narrowest, rounded);
}

function planParts(config: ModelConfig, experts: number | undefined): number {
  if (experts === undefined || experts === config.numExperts) return 1;
  const parts = experts / config.numExperts;
  if (config.architecture !== 'mixtral') {
    throw new UserError(
      `invalid experts: ${experts}; expected none for a ${config.architecture} model; inflate its layers or ffnSize instead`,
    );
  }
  // A power of two, because the down projections are multiplied by it and have to stay exact in bf16.
  if (parts >= 1 && Number.isInteger(Math.log2(parts))) return parts;
  throw new UserError(
    `invalid experts: ${experts}; expected ${config.numExperts} times a power of two; choose such a number`,
  );
}

function requireAtLeast(name: string, value: number | undefined, smallest: number): void {
  if (value === undefined || (Number.isSafeInteger(value) && value >= smallest)) return;
  throw new UserError(
    `invalid ${name}: ${value}; expected an integer of at least ${smallest}, since inflation only adds; ask for more or omit it`,
  );
}

function inflatedConfig(config: ModelConfig, parts: number, numLayers: number, ffnSize: number): ModelConfig {
  const numExperts = config.numExperts * parts;
  return { ...config, numLayers, ffnSize, numExperts, expertsPerToken: config.expertsPerToken * parts };
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

/** Every group of the inflated model beside the source's group whose contents and dtypes it takes, in file order. */
export function pairGroups(
  source: Checkpoint,
  config: ModelConfig,
  parts: number,
): { readonly spec: GroupSpec; readonly from: WeightGroup }[][] {
  const layers = Array.from({ length: config.numLayers }, (_, layer) => {
    const from = source.layers[sourceLayerOf(layer, source.config.numLayers, config.numLayers)]!;
    const experts = Array.from({ length: config.numExperts }, (_, expert) => ({
      spec: expertSpec(config, layer, expert),
      from: from.experts[Math.floor(expert / parts)]!,
    }));
    return [{ spec: attentionSpec(config, layer), from: from.attention }, ...experts];
  });
  return [
    [{ spec: embeddingSpec(config), from: source.embedding }],
    ...layers,
    [{ spec: headSpec(config), from: source.head }],
  ];
}

function storedBytes(source: Checkpoint, config: ModelConfig, parts: number): number {
  const bytesOf = new Map<string, number>(); // by name, so that a tied embedding counts once
  for (const { spec, from } of pairGroups(source, config, parts).flat()) {
    for (const [i, { name, shape }] of spec.tensors.entries()) {
      bytesOf.set(name, tensorBytes(from.tensors[i]!.ref.dtype, shape));
    }
  }
  return [...bytesOf.values()].reduce((total, bytes) => total + bytes, 0);
}
