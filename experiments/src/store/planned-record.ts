/** What a record says of a point whose policy the planner picked. */

import type { PolicyInput } from '@specoffload/engine';
import { type Checked, is, type Schema } from '@specoffload/input';
import { count, digest, setting } from './words.js';

const { amount, described, mapOf, orNull, picked: fields, text } = is;

export const plannedRecord = fields({
  strategy: described(text, '', "the planner's pick"),
  policy: described(
    mapOf(setting) as Schema as Schema<PolicyInput>,
    '',
    'as asked for: how many layers stay where is left to what fits, unless that was searched or given',
  ),
  drafter: described(orNull(text), '', 'who proposes; null: nobody'),
  input: described(digest, '', 'of all that the plan was made from, and of the code that made it'),
  plannedFor: fields({
    machine: described(text, '', 'the rates that it was planned on'),
    ...{ deviceBytes: count, hostBytes: count },
    target: text,
    draft: described(orNull(text), '', 'the model that proposes; null: none does'),
    prompts: count,
    promptTokens: described(
      fields({ least: count, most: count }),
      'tokens',
      'of the shortest and the longest',
    ),
    maxNewTokens: count,
    acceptance: described(orNull(text), '', 'its name; null: nobody proposes'),
    tokensPerSecond: described(amount, '1/s', "predicted: the median over the planner's seeds"),
  }),
});
export type PlannedRecord = Checked<typeof plannedRecord>;
