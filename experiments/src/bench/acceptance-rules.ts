/** What coupled sampling costs in acceptance, on the shipped pair. */

import { compareRules, type RuleComparison } from '../acceptance/rules.js';
import { openShippedPair } from '../inputs/pair.js';
import { loadWorkload } from '../inputs/prompts.js';
import type { Output } from '../terminal/output.js';
import { formatTable } from '../terminal/table.js';

const settings = [{ temperature: 0.5 }, { temperature: 1 }, { temperature: 1, topP: 0.9 }];
const newTokens = 16;

export type MeasuredRules = RuleComparison & { readonly sampling: (typeof settings)[number] };

export async function measureAcceptanceRules(
  numPrompts: number,
  output: Output,
  signal: AbortSignal,
): Promise<readonly MeasuredRules[]> {
  const pair = await openShippedPair();
  const vocabulary = { size: pair.target.spec.vocabSize, tokenizer: pair.tokenizer };
  const workload = await loadWorkload('prose', numPrompts, vocabulary);
  const measured: MeasuredRules[] = [];
  for (const sampling of settings)
    measured.push({ sampling, ...(await compareRules({ ...pair, workload, newTokens, sampling, signal })) });
  output.say('\nchance that a candidate stands when tokens are drawn, shipped pair, prose');
  output.say(
    formatTable<MeasuredRules>(
      [
        { title: 'sampling', align: 'left', text: ({ sampling }) => JSON.stringify(sampling) },
        { title: 'coupled', text: ({ coupled }) => coupled.toFixed(3) },
        { title: 'rejection rule', text: ({ rejection }) => rejection.toFixed(3) },
        { title: 'coupled / rejection, 95 %', text: ({ ratio }) => describe(ratio) },
      ],
      measured,
    ),
  );
  return measured;
}

function describe(ratio: RuleComparison['ratio']): string {
  return ratio ? `${ratio.low.toFixed(3)} to ${ratio.high.toFixed(3)}` : '-';
}
