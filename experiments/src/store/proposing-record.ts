/** What a record says of proposing: how often candidates stood, how many there were, and which experts rows went to and stayed. */

import type { RunResult } from '@specoffload/engine';
import { is, type Schema } from '@specoffload/input';
import { count, fraction } from './words.js';

const { amount, described, listOf, mapOf, orMissing, orNull } = is;
const fields = is.picked;
const turns = listOf(listOf(listOf(count)));

/** Fields of a run's outcome. */
export const proposingRecord = {
  acceptance: orNull(
    fields({
      proposed: count,
      accepted: count,
      rate: described(fraction, '0 to 1', 'accepted / proposed; null without speculation'),
      tokensPerRound: described(amount, 'tokens', 'of one sequence in one round; null without speculation'),
      byPosition: listOf(fields({ proposed: count, accepted: count })),
      alternates: described(
        orMissing(
          fields({
            proposed: described(count, 'tokens', 'other choices of the drafter that were verified'),
            hits: described(count, '', 'rounds of a sequence in which the target chose one'),
            tokens: described(count, 'tokens', 'more for that'),
          }),
        ),
        '',
        "the drafter's second choices beside its candidates; left out where none were verified",
      ),
    }),
  ) satisfies Schema<RunResult['acceptance']>,
  ahead: described(
    orMissing(
      fields({
        verifications: described(count, '', 'after which a sequence could use more candidates'),
        hits: described(count, '', 'of those, after which candidates were there for what came'),
        outcomes: described(count, '', 'that candidates were prepared for'),
        preparedTokens: described(count, 'tokens', 'prepared as candidates'),
        takenTokens: described(count, 'tokens', 'of those, candidates of the next round'),
        hitsByRank: described(
          listOf(count),
          '',
          "hits by the target's own token: the draft's first choice behind all candidates, its second anywhere, and so on",
        ),
      }),
    ) satisfies Schema<RunResult['ahead']>,
    '',
    'what was prepared while candidates were verified; left out where nothing was',
  ),
  roundsByCandidates: described(
    orMissing(listOf(count)),
    '',
    'rounds of batches by number of candidates, where the run chose it; left out where it was always the same',
  ),
  routing: described(
    orMissing(
      fields({
        rowsPerPass: described(amount, 'rows', 'of a micro-batch in a decoding pass, on average'),
        distinctPerPass: described(listOf(amount), '', 'by layer: experts that those went to, on average'),
        rowsByExpert: described(listOf(listOf(count)), '', '(layer, expert): rows in all of decoding'),
        trace: described(
          orMissing(fields({ chosen: turns, foreseen: listOf(turns) })),
          '',
          '(layer, turn): experts and how many rows chose each, and by distance experts that were foreseen; left out where experts neither stay nor come ahead',
        ),
      }),
    ),
    '',
    'which experts rows went to; left out of predictions, and where there is nothing to choose',
  ),
  experts: described(
    orMissing(
      fields({
        chosen: described(count, '', 'experts that routers chose, each once for a pass and layer'),
        hits: described(mapOf(count), '', 'by memory: how many of them lay there already'),
        savedBytes: described(mapOf(amount), 'bytes', 'by lane: what would have been moved for those'),
        ahead: described(
          orMissing(
            fields({
              ...{ foreseen: listOf(count), right: listOf(count), brought: count, used: count },
              broughtBytes: described(mapOf(amount), 'bytes', 'by lane'),
              wastedBytes: described(mapOf(amount), 'bytes', 'by lane: for what made room unused'),
            }),
          ),
          '',
          'experts that were foreseen to be chosen, one, two, … layers before, and were so; those that were brought by that, and used',
        ),
      }),
    ),
    '',
    'what keeping experts saved while the run decoded; left out without an expert cache',
  ) satisfies Schema<RunResult['experts']>,
  proposingStoppedSeconds: described(
    orMissing(amount),
    's',
    'when proposing was first found not to pay, where the run chose its candidates; left out where it never was',
  ),
};
