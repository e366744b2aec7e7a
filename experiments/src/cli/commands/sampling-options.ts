/** The flags that say how tokens are drawn, one per field of the engine's sampling but its seed. */

import {
  parseSampling,
  type SamplingField,
  type SamplingInput,
  type SamplingRule,
  samplingFields,
  samplingRules,
} from '@specoffload/engine';
import { parseNumber } from '@specoffload/input';
import type { Command } from 'commander';
import { asUsage } from '../../terminal/errors.js';
import { oneOf } from './common.js';
import { toFlag } from './policy-options.js';

type Flag = Exclude<SamplingField, 'seed'>;

/** Values as typed, by the field's name. */
export type SamplingOptions = { readonly [Field in Flag]?: string } & {
  readonly samplingRule?: SamplingRule;
};

const flags = (Object.keys(samplingFields) as SamplingField[]).filter(
  (name): name is Flag => name !== 'seed',
);

export function addSamplingOptions(command: Command): Command {
  for (const name of flags) {
    const { usual, meaning } = samplingFields[name];
    const otherwise = name === 'temperature' ? '0; 1 with any of the next flags' : usual;
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
 * @throws UsageError naming the field.
 */
export function toSamplingInput(options: SamplingOptions): SamplingInput | undefined {
  const given: Record<string, unknown> = {};
  for (const name of flags) {
    const text = options[name];
    // What is no number goes on as text, so that the refusal shows what was written.
    if (text !== undefined) given[name] = parseNumber(text) ?? text;
  }
  const { samplingRule: rule } = options;
  if (rule !== undefined) given.rule = rule;
  if (Object.keys(given).length === 0) return undefined;
  asUsage(() => parseSampling(given));
  return given;
}
