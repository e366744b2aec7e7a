/** A model's name that means nothing: what was meant is likely the nearest one that does. */

import { access } from 'node:fs/promises';
import { modelCatalog } from '@specoffload/engine';
import { quote, UserError } from '@specoffload/input';

/** @throws UserError listing the models that can be predicted, the nearest first. */
export async function assertModelOrDirectory(name: string): Promise<void> {
  if (await exists(name)) return;
  if (isPath(name))
    throw new UserError(
      `there is no model at ${quote(name)}; expected a checkpoint's directory, one with config.json alone, or a .gguf file: check the path`,
    );
  throw new UserError(
    `unknown model: ${quote(name)}; expected ${nearestModels(name)}, or a checkpoint's directory or .gguf file, of which there is none by that name`,
  );
}

/** @throws UserError when there is nothing of that name; says so if it can be predicted, but not run. */
export async function assertModelDirectory(name: string): Promise<void> {
  if (await exists(name)) {
    if (!name.endsWith('.json')) return;
    throw new UserError(
      `${name} is a configuration, which simulate and plan can predict, without weights; expected the directory of a checkpoint that has them`,
    );
  }
  if (Object.hasOwn(modelCatalog, name))
    throw new UserError(
      `${name} is known by its sizes alone, which simulate and plan can predict; expected a checkpoint's directory, since a run needs its weights`,
    );
  const others = isPath(name) ? '' : `, or predict ${nearestModels(name)} with simulate or plan`;
  throw new UserError(
    `there is no model ${quote(name)}; expected a checkpoint's directory with config.json and safetensors files, or a .gguf file; check the path${others}`,
  );
}

/** Whether somebody typed where a model lies, so that no name of the catalogue was meant. */
function isPath(name: string): boolean {
  return /[\\/]|^[.~]|\.(gguf|safetensors|json)$/.test(name);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function nearestModels(name: string): string {
  return nearestFirst(name, Object.keys(modelCatalog)).slice(0, 6).join(', ');
}

/**
 * Those of which it is the beginning, then by the number of letters to change, put in or leave out; equals keep their
 * order.
 */
export function nearestFirst(name: string, words: readonly string[]): string[] {
  const start = name.slice(0, 64).toLowerCase();
  const distanceTo = (word: string) =>
    start !== '' && word.startsWith(start) ? 0 : editDistance(start, word);
  const distances = new Map(words.map((word) => [word, distanceTo(word)]));
  return [...words].sort((a, b) => distances.get(a)! - distances.get(b)!);
}

/** Levenshtein's, row by row. */
function editDistance(one: string, other: string): number {
  let above = Array.from({ length: other.length + 1 }, (_, column) => column);
  for (const [row, letter] of [...one].entries()) {
    const own = [row + 1];
    for (let column = 0; column < other.length; column++)
      own.push(
        Math.min(own[column] + 1, above[column + 1] + 1, above[column] + (letter === other[column] ? 0 : 1)),
      );
    above = own;
  }
  return above.at(-1)!;
}
