/** One sequence's life: its tokens, what the caches hold of it, and what has been proposed for it. */

import type { Alternate } from './alternates.js';
import type { TokenShares } from './draw-token.js';
import type { Leaders } from './leaders.js';

/** A sequence's room in every layer's part of a KV cache: (K then V, kvHead, capacity, headDim), fp32. */
export interface CacheBlock {
  /** Tokens of other sequences that lie before it in the layer's part. */
  readonly tokenOffset: number;
  /** Tokens. */
  readonly capacity: number;
  /** Of the sequence's tokens the first that it has room for: what is before is neither kept nor seen. */
  readonly firstToken: number;
  /** In device memory, where others' blocks of the same cache are in host memory. */
  readonly isOnDevice: boolean;
}

const noBlock: CacheBlock = { tokenOffset: 0, capacity: 0, firstToken: 0, isOnDevice: false };

/** The target's own choice at one position. */
export interface TargetChoice {
  readonly id: number;
  /** Lead of the most likely token over the second, in logits. */
  readonly margin: number;
  /** Smallest lead of the last chosen expert over the best one not chosen, over all layers at this position. */
  readonly routerMargin: number;
}

/** Why a sequence ended: at an end-of-sequence token, because whoever listens said so, or at its limit. */
export type StopReason = 'eos' | 'stop' | 'length';

/** Told of each new token of a sequence, in order, once it is certain; `'stop'` ends the sequence with it. */
export type TokenListener = (sequence: number, id: number) => 'stop' | undefined;

/** Candidates for the case that a verification turns out so. */
export interface PreparedOutcome {
  /** Candidates that stand. */
  readonly accepted: number;
  /** What the target adds to them is the draft's so many-th choice there, see `Outcome`. */
  readonly rank: number;
  /** And that token. */
  readonly token: number;
  /** What follows, as far as it has been proposed. */
  readonly ids: readonly number[];
  readonly shares: readonly TokenShares[] | null;
  readonly leaders: readonly Leaders[] | null;
  /** The draft's cache holds it as part of the sequence. */
  readonly isCached: boolean;
}

/** What ends a sequence before its limit. */
export interface SequenceEnds {
  readonly eosTokenIds: ReadonlySet<number>;
  readonly onToken?: TokenListener | undefined;
}

/** Mutable, owned by the run. */
export class Sequence {
  /** Place among the run's prompts. */
  readonly index: number;
  /** Number of the noise that its tokens are drawn with. */
  readonly noise: number;
  readonly prompt: readonly number[];
  readonly maxNewTokens: number;
  /** Tokens that its blocks hold: all that it may become, or more where others follow it there. */
  readonly roomTokens: number;
  readonly choices: TargetChoice[] = [];
  stopReason: StopReason | null = null;
  /** Tokens proposed and not yet verified. */
  candidates: readonly number[] = [];
  /** What is verified beside them, where the drafter has said it; null: its second choices, as far as it has told them. */
  alternates: readonly Alternate[] | null = null;
  /** What each candidate was drawn from, where the rejection rule has to know; null where nobody drew. */
  candidateShares: readonly TokenShares[] | null = null;
  /** What the draft favoured in each candidate's place; null where nobody asked. */
  candidateLeaders: readonly Leaders[] | null = null;
  /** What has been proposed ahead, for outcomes of the verification that is under way. */
  prepared: readonly PreparedOutcome[] = [];
  /** Tokens whose keys and values the target's cache holds. */
  targetCached = 0;
  /** Tokens whose keys and values the draft's cache holds and that are part of the sequence. */
  draftCached = 0;
  targetBlock: CacheBlock = noBlock;
  draftBlock: CacheBlock = noBlock;

  constructor(
    index: number,
    prompt: readonly number[],
    maxNewTokens: number,
    noise = index,
    roomTokens = prompt.length + maxNewTokens,
  ) {
    this.index = index;
    this.noise = noise;
    this.prompt = prompt;
    this.maxNewTokens = maxNewTokens;
    this.roomTokens = roomTokens;
  }

  /** Prompt and new tokens. */
  get length(): number {
    return this.prompt.length + this.choices.length;
  }

  get isFinished(): boolean {
    return this.stopReason !== null;
  }

  /** New tokens still wanted. */
  get remaining(): number {
    return this.isFinished ? 0 : this.maxNewTokens - this.choices.length;
  }

  /** Tokens from position `start` on. */
  tokensFrom(start: number): number[] {
    // All but the first time, what is missing is a few new tokens.
    if (start >= this.prompt.length)
      return this.choices.slice(start - this.prompt.length).map(({ id }) => id);
    const fromPrompt = this.prompt.slice(start);
    return fromPrompt.concat(this.choices.map(({ id }) => id));
  }

  /** Ends the sequence where it is. */
  end(): void {
    this.stopReason ??= 'length';
  }

  /** Appends the target's choices up to its limit or where it ends before; what lies beyond is not kept. */
  append(choices: readonly TargetChoice[], { eosTokenIds, onToken }: SequenceEnds): void {
    for (const choice of choices) {
      if (this.isFinished) return;
      this.choices.push(choice);
      const told = onToken?.(this.index, choice.id);
      if (eosTokenIds.has(choice.id)) this.stopReason = 'eos';
      else if (told === 'stop') this.stopReason = 'stop';
      else if (this.choices.length >= this.maxNewTokens) this.stopReason = 'length';
    }
  }
}
