/**
 * NaN and infinity, which would turn into tokens that look like any others. Values are checked where they leave the
 * device; only when one is found are the stored weights searched for where it came from.
 */

import { reasonOf, UserError } from '@specoffload/input';
import type { ModelRole } from '../machine/device.js';
import { cutTensor, readTensor } from '../model/stored.js';
import type { Checkpoint, TensorRef, WeightGroup } from '../model/types.js';

/** Where it was found. */
export interface NotFinitePlace {
  readonly model: ModelRole;
  /** Zero-based; the number of layers for what comes after the last. */
  readonly layer: number;
  /** `router scores`, `logits`, … */
  readonly what: string;
}

/** A value that left the device is NaN or infinite. */
export class NotFiniteError extends Error {
  override readonly name = 'NotFiniteError';
  readonly place: NotFinitePlace;

  constructor(place: NotFinitePlace) {
    super(`the ${place.model}'s ${place.what} are not finite (layer ${place.layer})`);
    this.place = place;
  }
}

/**
 * The sentence for whoever has to do something about it: names the first stored weight that is not finite, among
 * those that the value rests on since the last look.
 * @param signal ends the search
 */
export async function explainNotFinite(
  { model, layer, what }: NotFinitePlace,
  checkpoint: Checkpoint,
  signal?: AbortSignal,
): Promise<UserError> {
  const { directory, layers } = checkpoint;
  const where = layer < layers.length ? ` in layer ${layer}` : '';
  const found = `the ${model} ${directory} computes ${what} that are not finite${where}`;
  let weight: FoundWeight | null;
  try {
    weight = await findNotFiniteWeight(suspects(checkpoint, layer), signal);
  } catch (error) {
    signal?.throwIfAborted();
    return new UserError(
      `${found}, and the weights that lead there cannot be read any more (${reasonOf(error)}); expected finite weights; check the files of the checkpoint`,
    );
  }
  if (weight === null)
    return new UserError(
      `${found}, though all stored weights that lead there are finite; expected numbers that fp32 can hold; the files were changed during the run, or the weights do not belong to this config.json`,
    );
  const { ref, element, value } = weight;
  return new UserError(
    `${found}: ${ref.path} holds ${value} in ${ref.name} (element ${element} of ${ref.numElements}); expected finite weights; download the file again`,
  );
}

/** Weight groups used since the previous check, which was one layer before; the likeliest first. */
function suspects({ embedding, head, layers }: Checkpoint, layer: number): readonly WeightGroup[] {
  const before = layers[layer - 1];
  const groups = [layers[layer]?.attention ?? head];
  if (before) groups.push(...before.experts, before.attention);
  return [...groups, embedding];
}

interface FoundWeight {
  readonly ref: TensorRef;
  /** Zero-based. */
  readonly element: number;
  readonly value: number;
}

async function findNotFiniteWeight(
  groups: readonly WeightGroup[],
  signal?: AbortSignal,
): Promise<FoundWeight | null> {
  for (const { ref } of groups.flatMap(({ tensors }) => tensors)) {
    const found = await searchTensor(ref, signal);
    if (found) return found;
  }
  return null;
}

const chunkBytes = 4 * 2 ** 20;

async function searchTensor(ref: TensorRef, signal?: AbortSignal): Promise<FoundWeight | null> {
  for (const { first, part } of cutTensor(ref, chunkBytes)) {
    signal?.throwIfAborted();
    const values = await readTensor(part);
    const index = values.findIndex((value) => !Number.isFinite(value));
    if (index >= 0) return { ref, element: first + index, value: values[index] };
  }
  return null;
}
