/** What simulations came to over the closed form, by kinds of policies: those that are alike it misjudges alike. */

import { largest } from '../extremes.js';
import type { Appraisal } from './appraise.js';
import { chosenBeside } from './space.js';

/** How far a policy is expected to come. */
export interface Estimate {
  readonly tokensPerSecond: number;
  /** Whether one of the same kind has been simulated. */
  readonly isOfKnownKind: boolean;
}

interface Known {
  readonly appraisal: Appraisal;
  /** Simulated tokens per second over those of the closed form. */
  readonly ratio: number;
}

export class Experience {
  /** By kind. */
  readonly #known = new Map<string, Known[]>();
  readonly #kinds = new Map<Appraisal, string>();

  add(appraisal: Appraisal, tokensPerSecond: number): void {
    const ratio = tokensPerSecond / appraisal.tokensPerSecond;
    const kind = this.#kindOf(appraisal);
    const alike = this.#known.get(kind) ?? [];
    alike.push({ appraisal, ratio });
    this.#known.set(kind, alike);
  }

  /** The closed form's; times what the nearest policy of its kind came to, of equally near ones the best, if there is one. */
  estimate(appraisal: Appraisal): Estimate {
    const { tokensPerSecond } = appraisal;
    let nearest: { readonly ratio: number; readonly apart: number } | null = null;
    for (const known of this.#known.get(this.#kindOf(appraisal)) ?? []) {
      const apart = degreesApart(known.appraisal, appraisal);
      const { ratio } = known;
      if (nearest === null || apart < nearest.apart || (apart === nearest.apart && ratio > nearest.ratio))
        nearest = { ratio, apart };
    }
    return { tokensPerSecond: tokensPerSecond * (nearest?.ratio ?? 1), isOfKnownKind: nearest !== null };
  }

  /** Of equal ones the first. */
  mostPromising(appraisals: readonly Appraisal[]): Appraisal {
    const estimates = appraisals.map((appraisal) => this.estimate(appraisal).tokensPerSecond);
    return appraisals[estimates.indexOf(largest(estimates))];
  }

  /** What decides by how much the closed form errs: who waits for whom, lane by lane. */
  #kindOf(appraisal: Appraisal): string {
    const found = this.#kinds.get(appraisal);
    if (found !== undefined) return found;
    const { contender, policy } = appraisal;
    const kind = [
      ...[contender.strategy, chosenBeside(contender), policy.speculation],
      ...[policy.attention, policy.projections, policy.cache, policy.draftCache],
      ...[policy.experts, policy.expertCache, policy.expertPrefetch, policy.hostExpertRows > 0],
      ...[policy.hostShare > 0, policy.hostShare > muchOnHost, policy.prefetchDepth],
    ].join();
    this.#kinds.set(appraisal, kind);
    return kind;
  }
}

/** Of the FFNs: the more the host has to do, the more others wait for it. */
const muchOnHost = 0.25;

const degrees = [
  ...(['decodeBatch', 'microBatch', 'candidates', 'alternates', 'alternateTokens'] as const),
  ...(['adaptCandidates', 'joinBatches', 'outcomes', 'coalesceExperts'] as const),
  ...(['draftWindow', 'draftBatch', 'prefillBatch', 'residents'] as const),
];

/** How many of the fields that are no matter of kind differ. */
function degreesApart({ policy: some }: Appraisal, { policy: others }: Appraisal): number {
  return degrees.filter((field) => some[field] !== others[field]).length;
}
