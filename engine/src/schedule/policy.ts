/** The policy: every choice a planner may make, as one readonly object, parsed at the door. */

import { assertPlain, check, is, listWords, type Schema, UserError } from '@specoffload/input';
import type { PolicyField } from './declare-field.js';
import { type OpenField, type Policy, policyFields } from './policy-fields.js';

export type { PolicyField } from './declare-field.js';
export { type Policy, policyFields } from './policy-fields.js';

export const policyFieldNames = Object.keys(policyFields) as (keyof Policy)[];

/** Fields about how a draft model proposes. */
export const draftFieldNames = policyFieldNames.filter((name) => policyFields[name].about === 'draft');

/** Values that fields are held to. */
export type AllowedValues = { readonly [Name in keyof Policy]?: readonly Policy[Name][] };

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

function schemaOf(field: PolicyField): Schema<string | number> {
  if (field.kind === 'choice') return is.oneOf(Object.keys(field.words));
  return field.kind === 'count' ? is.wholeFrom(...field.limits) : is.numberFrom(...field.limits);
}

/** What each field takes. */
export const policySchemas = Object.fromEntries(
  policyFieldNames.map((name) => [name, schemaOf(policyFields[name])]),
) as Readonly<Record<keyof Policy, Schema<string | number>>>;

const policy = is.byName((name) => {
  if (Object.hasOwn(policySchemas, name)) return policySchemas[name as keyof Policy];
  throw new UserError(`unknown policy field: ${name}; expected ${listWords(policyFieldNames)}`);
}) as Schema<PolicyInput>;

/**
 * Checks a policy that came from outside.
 * @throws UserError naming the field, its value and what was expected.
 */
export function parsePolicy(input: unknown): PolicyInput {
  assertPlain(input, 'the policy');
  return check(policy, input, '', { whole: 'policy' });
}
