/** Who can propose, by name: a new one without a model of its own is a file, and a line here. */

import { listWords, quote, UserError } from '@specoffload/input';
import type { Checkpoint } from '../model/types.js';
import type { Drafter } from './drafter.js';
import { modelDrafter } from './model-drafter.js';
import { promptLookup } from './prompt-lookup.js';
import { selfDrafter } from './self-drafter.js';
import { suffixLookup } from './suffix-lookup.js';

const withoutModel = {
  [promptLookup.name]: promptLookup,
  [suffixLookup.name]: suffixLookup,
  [selfDrafter.name]: selfDrafter,
} as const satisfies Readonly<Record<string, Drafter>>;

export type DrafterName = 'model' | keyof typeof withoutModel;

export const drafterNames = ['model', ...Object.keys(withoutModel)] as readonly DrafterName[];

/** Whether a draft model has to be given to it. */
export function needsDraft(drafter: DrafterName | Drafter = 'model'): boolean {
  return drafter === 'model';
}

/**
 * A drafter by its name, or one that has no name here as it is.
 * @param draft of the drafter `model`, which without one is null
 * @throws UserError when there is no such drafter.
 */
export function drafterNamed(
  drafter: DrafterName | Drafter | undefined,
  draft: Checkpoint | null,
): Drafter | null {
  if (typeof drafter === 'object') return drafter;
  if (drafter === undefined || drafter === 'model') return draft && modelDrafter(draft);
  if (Object.hasOwn(withoutModel, drafter)) return withoutModel[drafter];
  throw new UserError(`unknown drafter: ${quote(drafter)}; expected ${listWords(drafterNames)}`);
}
