/** Weights of kept layers that the device's kernels read in host memory, over the link, each time they are used. */

import { UserError } from '@specoffload/input';
import type { AttentionWeights, ExpertWeights } from '../machine/device.js';
import { readsHost } from '../machine/formats.js';
import type { WeightGroup } from '../model/types.js';
import type { PhaseName } from '../trace/types.js';
import type { GroupLayout } from './group-layout.js';
import type { ModelPlacement } from './memory-plan.js';
import type { OpenPolicy } from './policy.js';
import { weightsInHost } from './work.js';

type Choices = Pick<OpenPolicy, 'keptExperts' | 'keptAttention' | 'hostShare'>;

/** Whether any weights are. */
export function readsInPlace({ keptExperts, keptAttention }: Omit<Choices, 'hostShare'>): boolean {
  return keptExperts === 'in-place' || keptAttention === 'in-place';
}

/** @throws UserError saying which field asks for it, and why it cannot be */
export function refuseInPlace({ keptExperts }: Pick<Choices, 'keptExperts'>, why: string): never {
  const field = keptExperts === 'in-place' ? 'keptExperts' : 'keptAttention';
  throw new UserError(`invalid ${field}: in-place; ${why}`);
}

/** @throws UserError naming the device that cannot */
export function refuseUnread(policy: Pick<Choices, 'keptExperts'>, device: string): never {
  refuseInPlace(
    policy,
    `${device} does not read host memory where it lies, expected copied, or a GPU that imports the host pool (device vulkan)`,
  );
}

export class InPlace {
  readonly #policy: Choices;
  readonly #target: ModelPlacement;
  readonly #found = new Map<string, (AttentionWeights & ExpertWeights) | null>();

  constructor(policy: Choices, target: ModelPlacement) {
    this.#policy = policy;
    this.#target = target;
  }

  /** Where they lie; null where they have to cross. Prompts use them for more rows than one reading serves. */
  of(phase: PhaseName, group: WeightGroup): (AttentionWeights & ExpertWeights) | null {
    if (phase === 'prefill' || !this.#isAskedFor(group)) return null;
    let found = this.#found.get(group.id);
    if (found === undefined) {
      found = this.#find(group);
      this.#found.set(group.id, found);
    }
    return found;
  }

  #isAskedFor({ kind }: WeightGroup): boolean {
    const { keptExperts, keptAttention, hostShare } = this.#policy;
    if (kind === 'expert') return keptExperts === 'in-place';
    // Of what is shared the host reads a part: it stays a copy, as elsewhere.
    return kind === 'attention' && keptAttention === 'in-place' && hostShare === 0;
  }

  #find({ id }: WeightGroup) {
    const { kept, formats, layouts } = this.#target;
    const region = kept.get(id);
    if (!region || !readsHost(formats, region.byteOffset, region.byteLength)) return null;
    return weightsInHost(layouts.get(id) as GroupLayout, region.byteOffset);
  }
}
