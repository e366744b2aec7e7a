/** The policy: every choice a planner may make, as one readonly object, parsed at the door. */

import { assertPlain, isRecord, quote, UserError } from '@specoffload/input';
import { type OpenField, type Policy, type PolicyField, policyFields } from './policy-fields.js';

export { type Policy, type PolicyField, policyFields } from './policy-fields.js';

export const policyFieldNames = Object.keys(policyFields) as (keyof Policy)[];

/** Values that fields are held to. */
export type AllowedValues = { readonly [Name in keyof Policy]?: readonly Policy[Name][] };

/** What the local machine can do of the fields that go beyond it; the virtual machine does everything. */
export const localPolicyFields: AllowedValues = Object.fromEntries(
  policyFieldNames.flatMap((name) => {
    const { local } = policyFields[name];
    return local === 'all' ? [] : [[name, local]];
  }),
);

/** What a caller may leave out. */
export type PolicyInput = Partial<Policy>;

/** Fields that may be left to what fits: null until placement has settled them. */
export type OpenChoices = { readonly [Name in OpenField]: number | null };

export function isOpenField(name: keyof Policy): name is OpenField {
  const { default: otherwise }: PolicyField = policyFields[name];
  return typeof otherwise === 'object' && 'byPlacement' in otherwise;
}

/** A policy before placement has settled how far to read ahead and how many layers stay in memory. */
export type OpenPolicy = Omit<Policy, OpenField> & OpenChoices;

/**
 * Checks a policy that came from outside.
 * @throws UserError naming the field, its value and what was expected.
 */
export function parsePolicy(input: unknown): PolicyInput {
  if (!isRecord(input))
    throw new UserError('invalid policy: expected an object of policy fields, such as {"candidates": 4}');
  assertPlain(input, 'the policy');
  for (const [field, value] of Object.entries(input)) {
    if (!Object.hasOwn(policyFields, field))
      throw new UserError(`invalid policy field: ${field}; expected one of ${policyFieldNames.join(', ')}`);
    assertValid(field, policyFields[field as keyof Policy], value);
  }
  return input as PolicyInput;
}

function assertValid(name: string, field: PolicyField, value: unknown): void {
  const shown = typeof value === 'string' ? value.slice(0, 80) : quote(value);
  if (field.kind === 'choice') {
    const words = Object.keys(field.words);
    if (!words.includes(value as string))
      throw new UserError(`invalid ${name}: ${shown}; expected ${words.join(' or ')}`);
    return;
  }
  const [least, most] = field.limits;
  const isNumber = field.kind === 'count' ? Number.isInteger(value) : typeof value === 'number';
  if (!(isNumber && least <= (value as number) && (value as number) <= most))
    throw new UserError(
      `invalid ${name}: ${shown}; expected a ${field.kind === 'count' ? 'whole number' : 'number'} from ${least} to ${most}`,
    );
}
