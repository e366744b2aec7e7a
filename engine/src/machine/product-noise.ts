/** Noise of analogue products, as crossbars have it, added to what the processor computes. */

import { type Checked, is, UserError } from '@specoffload/input';
import { createRandom, type Random } from '../model/random.js';
import type { Command, ModelRole, ProductCommand } from './device.js';

/** Weight groups whose products may be disturbed, as crossbars may hold them. */
export const noisyGroups = ['attention', 'experts', 'layers', 'head', 'draft'] as const;

export const productNoiseFields = {
  /** Standard deviation of an output over the root of its row's mean square; 0: none. */
  size: is.numberFrom(0, 1),
  groups: is.oneOf(noisyGroups),
  /** @default 0 */
  seed: is.orMissing(is.wholeFrom(0, 2 ** 31 - 1)),
};
const productNoise = is.onlyFields(productNoiseFields);

export type ProductNoise = Checked<typeof productNoise>;

const kindsOf: Readonly<Record<ProductNoise['groups'], readonly Command['kind'][]>> = {
  attention: ['project', 'mix'],
  experts: ['feed-forward'],
  layers: ['project', 'mix', 'feed-forward'],
  head: ['logits'],
  draft: ['project', 'mix', 'feed-forward', 'logits'],
};

/** Adds noise to (row, width) outputs, relative to what of them is the product: all but the addend. */
export type Disturb = (outputs: Float32Array, rows: number, addend: Float32Array | undefined) => void;

/** What of a command tells whose products it has. */
type ToldProduct = Pick<ProductCommand, 'model' | 'kind'> & { readonly weights?: object };

/**
 * One stream of numbers for each place of a model, so that the order in which places are computed does not matter; within
 * a place it goes on with every product, as the noise of a circuit does.
 */
export class NoiseSource {
  readonly #noise: ProductNoise;
  readonly #streams = new Map<string, Random>();

  constructor(noise: ProductNoise) {
    this.#noise = noise;
  }

  /** Whether a command's products are disturbed. */
  concerns(command: ToldProduct): boolean {
    const { groups, size } = this.#noise;
    const whose: ModelRole = groups === 'draft' ? 'draft' : 'target';
    const kind = isShared(command) ? 'mix' : command.kind;
    return size > 0 && command.model === whose && kindsOf[groups].includes(kind);
  }

  /** For the products of one command. */
  of(command: ProductCommand): Disturb {
    const { seed = 0, size } = this.#noise;
    const kind = isShared(command) ? 'shared' : command.kind;
    const place = `${command.model} ${kind} ${'layer' in command ? command.layer : ''}`;
    const random = this.#streams.get(place) ?? createRandom(seed, `products of ${place}`);
    this.#streams.set(place, random);
    return (outputs, rows, addend) => disturb(outputs, rows, addend, size, random);
  }
}

/** A shared expert's weights lie with the attention's. */
export function isShared({ kind, weights }: ToldProduct): boolean {
  return kind === 'feed-forward' && weights !== undefined && 'outputGate' in weights;
}

/** Mutates `outputs`. */
function disturb(
  outputs: Float32Array,
  rows: number,
  addend: Float32Array | undefined,
  size: number,
  random: Random,
): void {
  const width = outputs.length / rows;
  for (let start = 0; start < outputs.length; start += width) {
    let squares = 0;
    for (let i = start; i < start + width; i += 1) squares += (outputs[i] - (addend ? addend[i] : 0)) ** 2;
    const sigma = size * Math.sqrt(squares / width);
    for (let i = start; i < start + width; i += 1) outputs[i] += sigma * random.normal();
  }
}

/** Where the host multiplies, nothing is disturbed. */
export interface HostWork {
  readonly projections: 'host' | 'device';
  readonly hostShare: number;
  readonly hostExpertRows: number;
  readonly balance: string;
}

/** @throws UserError when it is malformed, or the host computes some of the products. */
export function assertProductNoise({ size, groups }: ProductNoise, policy: HostWork): void {
  const refuse = (why: string) => {
    throw new UserError(`invalid productNoise: ${size} of ${groups}; ${why}`);
  };
  const { projections, hostShare, hostExpertRows, balance } = policy;
  if (kindsOf[groups].includes('project') && groups !== 'draft' && projections === 'host')
    refuse('the host projects, where nothing is disturbed: expected projections device, or other groups');
  const sharesFfns = hostShare > 0 || hostExpertRows > 0 || balance !== 'given';
  if (kindsOf[groups].includes('feed-forward') && groups !== 'draft' && sharesFfns)
    refuse(
      'the host computes some FFNs, where nothing is disturbed: expected hostShare 0, hostExpertRows 0 and balance given',
    );
}
