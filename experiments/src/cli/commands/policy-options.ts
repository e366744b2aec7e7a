/** The flags that set the policy's fields, one per field of the engine; what is left out is the strategy's choice. */

import {
  describePolicyField,
  type Policy,
  type PolicyInput,
  policyFieldNames,
  policyFields,
  policySchemas,
} from '@specoffload/engine';
import type { Command } from 'commander';
import { readFields, toFlag } from './common.js';

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

/** @throws UsageError naming the flag. */
export function toPolicyInput(options: PolicyOptions): PolicyInput {
  return readFields(policySchemas, options) as PolicyInput;
}
