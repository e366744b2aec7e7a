/** How a token is chosen of the logits: greedily, or drawn under a temperature, masks and penalties. */

import { type Checked, check, is } from '@specoffload/input';

const fields = {
  temperature: is.described(
    is.orElse(is.numberFrom(0, 100), 1),
    '',
    'what logits are divided by before a token is drawn; 0 chooses the most likely',
  ),
  topK: is.described(
    is.orElse(is.wholeFrom(0, 2 ** 24), 0),
    'tokens',
    'keep so many of the most likely; 0 keeps all',
  ),
  topP: is.described(
    is.orElse(is.numberFrom(0, 1), 1),
    '',
    'keep the most likely that together have this probability; 1 keeps all',
  ),
  minP: is.described(
    is.orElse(is.numberFrom(0, 1), 0),
    '',
    "keep those that have this share of the most likely token's probability; 0 keeps all",
  ),
  repetitionPenalty: is.described(
    is.orElse(is.numberFrom(0.01, 100), 1),
    '',
    'what the logits of tokens that the text holds are divided by, negative ones multiplied with',
  ),
  presencePenalty: is.described(
    is.orElse(is.numberFrom(-100, 100), 0),
    '',
    'what is taken from the logit of every token that the text holds',
  ),
  frequencyPenalty: is.described(
    is.orElse(is.numberFrom(-100, 100), 0),
    '',
    'what is taken from the logit of a token for each time that the text holds it',
  ),
  penaltyWindow: is.described(
    is.orElse(is.wholeFrom(0), 0),
    'tokens',
    'how many of the latest tokens the penalties look at, the prompt among them; 0: all',
  ),
  seed: is.described(is.orElse(is.wholeFrom(0), 1), '', 'of the noise that tokens are drawn with'),
} as const;

const schema = is.onlyFields(fields);

/** Complete; every field is documented by its declaration, see {@link describeSampling}. */
export type Sampling = Checked<typeof schema>;

export type SamplingInput = Partial<Sampling>;

/**
 * Penalties, temperature, top-k, top-p and min-p in the order and by the definitions of transformers' logits
 * processors; presence and frequency penalties by llama.cpp's, which knows them over one window together with the
 * repetition penalty.
 *
 * @returns null where that is the plain greedy choice
 * @throws UserError naming the field and what was expected.
 */
export function parseSampling(input: unknown, source = ''): Sampling | null {
  const sampling = check(schema, input, source, { whole: 'sampling' });
  return sampling.temperature === 0 && !penalises(sampling) ? null : sampling;
}

/** Whether earlier tokens make a difference to a token's logit. */
export function penalises({ repetitionPenalty, presencePenalty, frequencyPenalty }: Sampling): boolean {
  return repetitionPenalty !== 1 || presencePenalty !== 0 || frequencyPenalty !== 0;
}

/** Nothing is drawn. */
export const greedy: SamplingInput = { temperature: 0 };

export const samplingFields = Object.keys(fields) as readonly (keyof Sampling)[];
