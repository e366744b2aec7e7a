/**
 * Inflation of a quantised checkpoint: more layers, of which every stored byte is copied, and experts divided as they are
 * stored (`inflate-experts.ts`).
 *
 * What attention and FFN add in an extra layer is made nothing as elsewhere, by numbers or scales of zero; the rest of
 * the layer is the one that it is modelled on.
 */

import { UserError } from '@specoffload/input';
import { plainCodecs } from '@specoffload/native';
import { sum } from '../extremes.js';
import type { HeaderTensor } from './header-tensor.js';
import type { TensorReader } from './inflate-bytes.js';
import { divideExperts, refuseCutGroups } from './inflate-experts.js';
import {
  ffnOf,
  type InflationPlan,
  type InflationRequest,
  isSourceLayer,
  planParts,
  requireAtLeast,
  sourceLayerOf,
} from './inflate-plan.js';
import { isPacked } from './packed.js';
import { readShards } from './shards.js';
import { rangesOf } from './stored.js';
import type { Checkpoint, TensorRef, TensorRole } from './types.js';
import type { TensorSource } from './write.js';

/** Whether any weight is stored in a way that can be copied and not written. */
export function isQuantised({ tensors }: Checkpoint): boolean {
  return [...tensors.values()].some(({ dtype }) => !Object.hasOwn(plainCodecs, dtype));
}

/**
 * What a request comes to with a quantised source: layers, as many as are asked for or as come nearest to the bytes.
 * @throws UserError where it asks for something else to grow
 */
export function layersAlone(source: Checkpoint, request: InflationRequest): InflationRequest {
  if (isPacked(source))
    throw new UserError(
      `${source.directory} is packed, which cannot be inflated; unpack it first, and pack what comes of it (specoffload model unpack)`,
    );
  const { layers, spec } = source;
  const { numExperts, width } = spec.layers[spec.layers.length - 1].ffn;
  refuseOther('experts', request.experts, numExperts);
  refuseOther('ffnSize', request.ffnSize, width);
  if (request.layers !== undefined || request.bytes === undefined) return { layers: request.layers };
  requireAtLeast('bytes', request.bytes, source.bytes);
  const groups = layers.flatMap(({ attention, experts }) => [attention, ...experts]);
  const layerBytes = sum(groups.map(({ storedBytes }) => storedBytes)) / layers.length;
  return { layers: layers.length + Math.round((request.bytes - source.bytes) / layerBytes) };
}

/**
 * The same of a checkpoint in safetensors, whose experts may be divided as well.
 * @throws UserError where it asks for something else to grow, or for parts that stored groups do not have
 */
export function storedGrowth(source: Checkpoint, request: InflationRequest): InflationRequest {
  const { experts, ...others } = request;
  const { layers } = layersAlone(source, others);
  const parts = planParts(source.spec, experts);
  if (parts === 1) return { layers };
  refuseCutGroups(source, parts);
  return { layers, experts, ffnSize: ffnOf(source.spec).width / parts };
}

function refuseOther(name: string, value: number | undefined, own: number): void {
  if (value === undefined || value === own) return;
  throw new UserError(
    `invalid ${name}: ${value}; expected ${own}, as the source has, whose layers are copied as they are stored; inflate its layers, or the checkpoint that was quantised`,
  );
}

const chunkBytes = 4 * 2 ** 20;

/** The tensors to write, in the files' own terms: what is before the layers, each layer, what is after them. */
export async function storedSections(
  source: Checkpoint,
  { spec, parts }: InflationPlan,
  reader: TensorReader,
): Promise<TensorSource[][]> {
  const stored = (await readShards(source.directory)).flatMap(({ tensors }) => tensors);
  const cleared = clearedNames(source, stored);
  const divide = divideExperts(source, parts);
  const outer = stored.filter(({ name }) => layerOf(name) === null);
  const sections = spec.layers.map((_, layer) => {
    const from = sourceLayerOf(layer, source.layers.length, spec.layers.length);
    const isExtra = !isSourceLayer(layer, source.layers.length, spec.layers.length);
    const isDivided = spec.layers[layer].ffn.router !== null;
    return stored
      .filter(({ name }) => layerOf(name) === from)
      .flatMap((tensor): TensorSource[] => {
        const name = nameIn(layer, tensor.name);
        const isCleared = isExtra && cleared.has(tensor.name);
        const divided = isDivided ? divide(tensor, name, isCleared, reader) : null;
        return divided ?? [copyOf(tensor, name, isCleared, reader)];
      });
  });
  return [outer.map((tensor) => copyOf(tensor, tensor.name, false, reader)), ...sections];
}

const layerPattern = /(?<=\blayers\.)\d+(?=\.)/;

function layerOf(name: string): number | null {
  const found = layerPattern.exec(name);
  return found && Number(found[0]);
}

function nameIn(layer: number, name: string): string {
  return name.replace(layerPattern, String(layer));
}

const addingRoles: readonly TensorRole[] = ['o', 'oBias', 'down', 'downBias', 'sharedDown'];

/** Stored tensors that have to be zero for a layer to add nothing: scales, or numbers under powers of two or under none. */
export function clearedNames({ layers }: Checkpoint, stored: readonly HeaderTensor[]): ReadonlySet<string> {
  const groups = layers.flatMap(({ attention, experts }) => [attention, ...experts]);
  const adding = groups.flatMap(({ tensors }) => tensors.filter(({ role }) => addingRoles.includes(role)));
  const places = new Set(adding.map(({ ref }) => placeOf(clearedRange(ref))));
  // A stack of experts, or rows by turns, begin with the first of them.
  return new Set(stored.filter((tensor) => places.has(placeOf(tensor))).map(({ name }) => name));
}

function clearedRange(ref: TensorRef) {
  const [values, scales = values] = rangesOf(ref);
  return ref.layout?.scales?.dtype === 'e8m0' ? values : scales;
}

function placeOf({ path, fileOffset }: Pick<HeaderTensor, 'path' | 'fileOffset'>): string {
  return `${fileOffset} of ${path}`;
}

export function copyOf(
  tensor: HeaderTensor,
  name: string,
  isCleared: boolean,
  reader: TensorReader,
): Extract<TensorSource, { readonly stored: unknown }> {
  const { dtype, shape, byteLength } = tensor;
  return {
    ...{ name, shape, stored: { dtype, byteLength } },
    chunks: () => (isCleared ? zeros(byteLength) : reader.chunks(tensor, chunkBytes)),
  };
}

async function* zeros(byteLength: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(chunkBytes, byteLength));
  for (let at = 0; at < byteLength; at += buffer.length) yield buffer.subarray(0, byteLength - at);
}
