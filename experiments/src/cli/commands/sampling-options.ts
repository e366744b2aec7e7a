/** The flags that say how tokens are drawn, one per field of the engine's sampling but its seed. */

import {
  type SamplingField,
  type SamplingInput,
  type SamplingRule,
  samplingFields,
  samplingRules,
} from '@specoffload/engine';
import type { Schema } from '@specoffload/input';
import type { Command } from 'commander';
import { oneOf, readFields, toFlag } from './common.js';

type Flag = Exclude<SamplingField, 'seed'>;

/** Values as typed, by the field's name. */
export type SamplingOptions = { readonly [Field in Flag]?: string } & {
  readonly samplingRule?: SamplingRule;
};

const flags = (Object.keys(samplingFields) as SamplingField[]).filter(
  (name): name is Flag => name !== 'seed',
);

const schemas = Object.fromEntries(flags.map((name) => [name, samplingFields[name].schema])) as Readonly<
  Record<Flag, Schema<number>>
>;

/** @param usualDraws what is done where no flag is given */
export function addSamplingOptions(
  command: Command,
  usualDraws = '0; 1 with any of the next flags',
): Command {
  for (const name of flags) {
    const { usual, meaning } = samplingFields[name];
    const otherwise = name === 'temperature' ? usualDraws : usual;
    command.option(`--${toFlag(name)} <n>`, `${meaning} (default: ${otherwise})`);
  }
  return command.option(
    '--sampling-rule <which>',
    `with these: whether candidates stand; ${samplingRules.join(' or ')} (default: coupled, with which every strategy writes the same)`,
    oneOf('--sampling-rule', samplingRules),
  );
}

/**
 * @returns undefined where no flag was given: nothing is drawn
 * @throws UsageError naming the flag.
 */
export function toSamplingInput(options: SamplingOptions): SamplingInput | undefined {
  const { samplingRule: rule } = options;
  const given = readFields(schemas, options) as SamplingInput;
  if (Object.keys(given).length === 0 && rule === undefined) return undefined;
  return rule === undefined ? given : { ...given, rule };
}

/** What was published with the model, but for what was typed; with temperature 0 alone nothing of it is left. */
export function orPublished(
  given: SamplingInput | undefined,
  published: SamplingInput | undefined,
): SamplingInput | undefined {
  return given?.temperature === 0 ? given : given || published ? { ...published, ...given } : undefined;
}
