/** How often each drafter is right on each of the shipped workloads, and what a round would bring. */

import { type Checkpoint, drafterNames, expectedTokens, largest, needsDraft } from '@specoffload/engine';
import { measureAcceptance } from '../acceptance/measure.js';
import { ratesInRounds, singleRate } from '../acceptance/rates.js';
import { openPair } from '../inputs/pair.js';
import { loadWorkload, workloadNames } from '../inputs/prompts.js';
import { pairPaths } from '../paths.js';
import { formatPercent, threeDigits } from '../terminal/format.js';
import { formatTable } from '../terminal/table.js';
import type { BenchOptions } from './main.js';

const candidates = 8;
const alternates = 4;
const promptsOfWorkload = { quick: 4, whole: 16 };
/** Texts repeat themselves later, so that more stands in longer ones. */
const lengths = { quick: [24, 48], whole: [32, 96] };
/** Positions that are told apart, the last one standing for all behind it. */
const places = 4;

interface Row {
  readonly workload: string;
  readonly drafter: string;
  /** Of each sequence. */
  readonly newTokens: number;
  /** From every place of the texts: of candidates whose predecessors stood, those that stood, too. */
  readonly rate: number;
  /** In the rounds of a run, by place in the round. */
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
  const size = quick ? 'quick' : 'whole';
  const longest = largest(lengths[size]);
  const rows: Row[] = [];
  for (const name of workloadNames) {
    const workload = await loadWorkload(name, promptsOfWorkload[size], vocabulary);
    for (const drafter of drafterNames) {
      output.note(`bench: acceptance of ${drafter} on ${name}`);
      const trace = await measureAcceptance({
        ...{ target, drafter, workload, newTokens: longest, candidates, signal },
        secondChoices: true,
        draft: needsDraft(drafter) ? (draft as Checkpoint) : null,
      });
      for (const newTokens of lengths[size]) {
        const rates = ratesInRounds(trace, newTokens, places);
        const { byPosition, secondChoice = null } = rates;
        const tokens = Array.from({ length: candidates + 1 }, (_, count) => expectedTokens(rates, count));
        rows.push({
          ...{
            workload: name,
            drafter,
            newTokens,
            rate: singleRate(trace),
            byPosition,
            secondChoice,
            tokens,
          },
          tokensWithAlternates: secondChoice && expectedTokens(rates, candidates, alternates),
        });
      }
    }
  }
  const tokensAt = (count: number) => ({
    title: `${count} candidates`,
    text: ({ tokens }: Row) => threeDigits(tokens[count]),
  });
  output.say(
    'acceptance (rate: from every place of the longest texts; by position: in the rounds of a run), and tokens per round by number of candidates',
  );
  output.say(
    formatTable<Row>(
      [
        { title: 'workload', align: 'left', text: ({ workload }) => workload },
        { title: 'drafter', align: 'left', text: ({ drafter }) => drafter },
        { title: 'new tokens', text: ({ newTokens }) => String(newTokens) },
        { title: 'rate', text: ({ rate }) => formatPercent(rate) },
        { title: 'by position', text: ({ byPosition }) => byPosition.map((p) => p.toFixed(2)).join(' ') },
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
