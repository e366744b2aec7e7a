/** How often each drafter is right on each of the shipped workloads, and what a round would bring. */

import { type Checkpoint, drafterNames, expectedTokens, needsDraft } from '@specoffload/engine';
import { measureAcceptance } from '../acceptance/measure.js';
import { ratesByPosition, singleRate } from '../acceptance/rates.js';
import { openPair } from '../inputs/pair.js';
import { loadWorkload, workloadNames } from '../inputs/prompts.js';
import { pairPaths } from '../paths.js';
import { formatPercent, threeDigits } from '../terminal/format.js';
import { formatTable } from '../terminal/table.js';
import type { BenchOptions } from './main.js';

const candidates = 8;
const alternates = 4;

interface Row {
  readonly workload: string;
  readonly drafter: string;
  /** Of candidates whose predecessors stood, those that stood, too. */
  readonly rate: number;
  /** The same by place in the round. */
  readonly byPosition: readonly number[];
  /** Where the first choice fell, how often the second was right; null without a model. */
  readonly secondChoice: number | null;
  /** By number of candidates, the target's own token included. */
  readonly tokens: readonly number[];
  /** With the most, and alternates beside them. */
  readonly tokensWithAlternates: number | null;
}

/** The target writes greedily, with both models whole in memory; candidates that are not proposed count as wrong. */
export async function benchAcceptance({ quick, output, signal }: BenchOptions): Promise<void> {
  const { target, draft, tokenizer } = await openPair(pairPaths.target, pairPaths.draft);
  const vocabulary = { size: target.spec.vocabSize, tokenizer };
  const rows: Row[] = [];
  for (const name of workloadNames) {
    const workload = await loadWorkload(name, quick ? 4 : 16, vocabulary);
    for (const drafter of drafterNames) {
      output.note(`bench: acceptance of ${drafter} on ${name}`);
      const trace = await measureAcceptance({
        ...{ target, drafter, workload, newTokens: quick ? 48 : 96, candidates, signal },
        secondChoices: true,
        draft: needsDraft(drafter) ? (draft as Checkpoint) : null,
      });
      const rates = ratesByPosition(trace);
      const { byPosition, secondChoice = null } = rates;
      const tokens = Array.from({ length: candidates + 1 }, (_, count) => expectedTokens(rates, count));
      rows.push({
        ...{ workload: name, drafter, rate: singleRate(trace), byPosition, secondChoice, tokens },
        tokensWithAlternates: secondChoice && expectedTokens(rates, candidates, alternates),
      });
    }
  }
  const tokensAt = (count: number) => ({
    title: `${count} candidates`,
    text: ({ tokens }: Row) => threeDigits(tokens[count]),
  });
  output.say('acceptance, and tokens per round by number of candidates');
  output.say(
    formatTable<Row>(
      [
        { title: 'workload', align: 'left', text: ({ workload }) => workload },
        { title: 'drafter', align: 'left', text: ({ drafter }) => drafter },
        { title: 'rate', text: ({ rate }) => formatPercent(rate) },
        {
          title: 'second choice',
          text: ({ secondChoice }) => (secondChoice === null ? '-' : formatPercent(secondChoice)),
        },
        ...[2, 4, candidates].map(tokensAt),
        {
          title: `and ${alternates} alternates`,
          text: ({ tokensWithAlternates: tokens }) => (tokens === null ? '-' : threeDigits(tokens)),
        },
      ],
      rows,
    ),
  );
  output.document({ acceptance: rows });
}
