/** What a policy field is declared with: kind, limits or words, default, meaning, and what a planner does. */

/** The fields that others are derived from. */
export interface Settled {
  readonly batches: number;
  readonly decodeBatch: number;
  readonly attention: 'host' | 'device' | 'split';
  readonly candidates: number;
}

export type Derive<Value> = (above: Settled, numPrompts: number) => Value;

/**
 * What a field is where nobody has said: a value, one derived from others, the strategy's, or left open until
 * placement sees what fits; all but a value also in words.
 */
export type Default<Value> =
  | Value
  | { readonly inWords: string; readonly of: Derive<Value> }
  | { readonly byStrategy: string }
  | { readonly byPlacement: string };

/** Names of the planner's axes that set the field, or why a planner leaves it alone. */
type Axis = readonly string[] | { readonly notSearched: string };

export interface Declared<A extends Axis = Axis> {
  readonly about: 'speculation' | 'batches' | 'places' | 'weights' | 'draft' | 'ends';
  /** In words, what it is an option of: fields of the same one are tried together. null: the order is tried as a whole. */
  readonly option: string | null;
  /** One sentence, or part of one. */
  readonly meaning: string;
  readonly axis: A;
}

type Words = Readonly<Record<string, string>>;

/** A field as parsers, command lines and docs see it. */
export type PolicyField =
  | (Declared & {
      readonly kind: 'choice';
      /** What each word means. */
      readonly words: Words;
      readonly default: Default<string>;
    })
  | (Declared & {
      readonly kind: 'count' | 'share';
      readonly limits: readonly [least: number, most: number];
      readonly default: Default<number>;
      /** More is lowered to this. */
      readonly atMost?: Derive<number>;
    });

export const choice = <const W extends Words, const A extends Axis>(
  field: Declared<A> & { readonly words: W; readonly default: Default<keyof W> },
) => ({ kind: 'choice' as const, ...field });

export const count = <const A extends Axis, const D extends Default<number>>(
  limits: readonly [number, number],
  field: Declared<A> & { readonly default: D; readonly atMost?: Derive<number> },
) => ({ kind: 'count' as const, limits, ...field });

export const share = <const A extends Axis>(field: Declared<A> & { readonly default: number }) => ({
  kind: 'share' as const,
  limits: [0, 1] as const,
  ...field,
});
