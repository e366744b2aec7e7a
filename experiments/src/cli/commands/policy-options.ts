/** The flags that set the policy's fields, one per field of the engine; what is left out is the strategy's choice. */

import {
  describePolicyField,
  type Policy,
  type PolicyInput,
  parsePolicy,
  policyFieldNames,
  policyFields,
} from '@specoffload/engine';
import { parseNumber } from '@specoffload/input';
import type { Command } from 'commander';
import { asUsage } from '../../terminal/errors.js';

/** Values as typed, by the field's name. */
export type PolicyOptions = { readonly [Field in keyof Policy]?: string };

export function addPolicyOptions(command: Command): Command {
  for (const name of policyFieldNames)
    command.option(
      `--${toFlag(name)} <${policyFields[name].kind === 'choice' ? 'which' : 'n'}>`,
      describePolicyField(name),
    );
  return command;
}

/** @throws UsageError naming the field: `invalid candidates: 0; expected a whole number from 1 to 64`. */
export function toPolicyInput(options: PolicyOptions): PolicyInput {
  const given: Record<string, unknown> = {};
  for (const field of policyFieldNames) {
    const text = options[field];
    if (text === undefined) continue;
    // What is no number goes on as text, so that the refusal shows what was written.
    given[field] = policyFields[field].kind === 'choice' ? text : (parseNumber(text) ?? text);
  }
  return asUsage(() => parsePolicy(given));
}

/** `decodeBatch` as `decode-batch`. */
export function toFlag(field: string): string {
  return field.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
