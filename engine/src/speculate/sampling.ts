/** How a token is chosen of the logits: greedily, or drawn under a temperature, masks and penalties. */

import { type Checked, check, is, type Schema } from '@specoffload/input';

interface Field {
  readonly schema: Schema<number>;
  readonly usual: number;
  readonly meaning: string;
}

/** By name, each declared once: type, checks, flags, settings and docs come from here. */
export const samplingFields = {
  temperature: {
    schema: is.numberFrom(0, 100),
    usual: 1,
    meaning: 'what logits are divided by before a token is drawn; 0 draws none and chooses the most likely',
  },
  topK: {
    schema: is.wholeFrom(0, 2 ** 24),
    usual: 0,
    meaning: 'keep so many of the most likely tokens; 0 keeps all',
  },
  topP: {
    schema: is.numberFrom(0, 1),
    usual: 1,
    meaning: 'keep the most likely tokens that together have this probability; 1 keeps all',
  },
  minP: {
    schema: is.numberFrom(0, 1),
    usual: 0,
    meaning: "keep tokens of at least this share of the most likely one's probability; 0 keeps all",
  },
  repetitionPenalty: {
    schema: is.numberFrom(0.01, 100),
    usual: 1,
    meaning: 'what the logit of a token that the text holds is divided by, or multiplied with below 0',
  },
  presencePenalty: {
    schema: is.numberFrom(-100, 100),
    usual: 0,
    meaning: 'what is taken from the logit of a token that the text holds',
  },
  frequencyPenalty: {
    schema: is.numberFrom(-100, 100),
    usual: 0,
    meaning: 'what is taken from the logit of a token for each time that the text holds it',
  },
  penaltyWindow: {
    schema: is.wholeFrom(0),
    usual: 0,
    meaning: 'the latest tokens that penalties look at, those of the prompt among them; 0: all',
  },
  seed: { schema: is.wholeFrom(0), usual: 1, meaning: 'of the noise that tokens are drawn with' },
} as const satisfies Readonly<Record<string, Field>>;

export type SamplingField = keyof typeof samplingFields;

const names = Object.keys(samplingFields) as readonly SamplingField[];

/**
 * What becomes of candidates: coupled, they stand where the target draws the same with the same noise; or the rejection
 * rule of Leviathan et al. (arXiv 2211.17192), which accepts a little more, but what a run writes then depends on its order.
 */
export const samplingRules = ['coupled', 'rejection'] as const;

export type SamplingRule = (typeof samplingRules)[number];

const numbers = Object.fromEntries(
  names.map((name) => [name, is.orElse(samplingFields[name].schema, samplingFields[name].usual)]),
) as Readonly<Record<SamplingField, Schema<number>>>;

const schema = is.onlyFields({
  ...numbers,
  rule: is.orElse<SamplingRule>(is.oneOf(samplingRules), 'coupled'),
});

/** Complete. */
export type Sampling = Checked<typeof schema>;

/** What is left out is as usual: nothing masks, nothing penalises, and the temperature is 1. */
export type SamplingInput = Partial<Sampling>;

/** Nothing is drawn. */
export const greedy: SamplingInput = { temperature: 0 };

/** The same, complete. */
export const completeGreedy: Sampling = check(schema, greedy, '');

/**
 * Penalties, temperature, top-k, top-p and min-p in the order and by the definitions of transformers' logits processors;
 * presence and frequency penalties by llama.cpp's, which has them over one window with the repetition penalty.
 *
 * @returns null where that is the plain greedy choice
 * @throws UserError naming the field and what was expected.
 */
export function parseSampling(input: unknown, source = ''): Sampling | null {
  const sampling = check(schema, input, source, { whole: 'sampling' });
  return sampling.temperature === 0 && !penalises(sampling) ? null : sampling;
}

/** Whether earlier tokens make a difference to a token's logit. */
export function penalises(sampling: Sampling): boolean {
  return (['repetitionPenalty', 'presencePenalty', 'frequencyPenalty'] as const).some(
    (name) => sampling[name] !== samplingFields[name].usual,
  );
}

/**
 * The same choice in one spelling: the temperature, and what else is not as usual; undefined where nothing is drawn.
 * @param input without a seed, which is the run's
 */
export function spellSampling(input: SamplingInput): SamplingInput | undefined {
  const sampling = parseSampling(input);
  if (!sampling) return undefined;
  const isSaid = (name: SamplingField) =>
    name === 'temperature' || (name !== 'seed' && sampling[name] !== samplingFields[name].usual);
  const { rule } = sampling;
  const said = Object.fromEntries(names.filter(isSaid).map((name) => [name, sampling[name]]));
  return rule === 'coupled' ? said : { ...said, rule };
}
