/**
 * Prompt lookup: texts repeat themselves, so what followed the latest tokens where they stood before is proposed again.
 * No model, no memory, microseconds on the host; nothing is proposed where the latest token is a new one.
 * Source: Saxena, github.com/apoorvumang/prompt-lookup-decoding.
 */

import type { Routes } from '../topology/topology.js';
import type { Drafter, RoundWork } from './drafter.js';
import type { DraftResult } from './ops.js';
import { beginProposals, draftPriority, imagineProposals, keepProposal } from './proposals.js';
import { createTask, type TaskHead } from './task.js';

/** The longest run of latest tokens that is looked for; where it never stood before, shorter ones are. */
const longestMatch = 3;

const laneIn = (routes: Routes) => routes.computing('draft', 'host');

/** Every token is compared with the latest ones. */
const roundWork = (tokens: number): RoundWork => ({ bytes: 4 * tokens, flops: longestMatch * tokens });

export const promptLookup = {
  name: 'prompt-lookup',
  checkpoint: null,
  heeds: ['candidates'],
  ...{ laneIn, roundWork, guess: lookUp },
  reserve: () => () => null,
  begin: ({ policy, routes, ids }) => ({
    admit() {},
    bring: () => [],
    propose(round) {
      const proposals = beginProposals(round, policy.candidates);
      if (proposals.length === 0) return [];
      const { pass, batch, isAhead } = round;
      const tokens = proposals.reduce((sum, { sequence }) => sum + sequence.length, 0);
      const { bytes, flops } = roundWork(tokens);
      const head: TaskHead = {
        ...{ id: ids.next(), lane: laneIn(routes), kind: 'draft' },
        ...{ name: `look up batch ${batch}`, phase: 'decode' },
        ...{ pass, batch, priority: draftPriority, rows: proposals.length },
      };
      const task = createTask(head, {
        ...{ after: [], bytes, flops },
        createOp: () => ({
          kind: 'look-up',
          work: () => ({
            ids: proposals.map(({ sequence, assumed, wanted }) =>
              lookUp([...sequence.tokensFrom(0), ...assumed], wanted),
            ),
          }),
        }),
        imagine: (oracle) => ({
          ids: proposals.map((proposal) => imagineProposals(oracle, [proposal], 0, proposal.wanted)),
        }),
        onEnd: (result) => {
          const { ids: found } = result as DraftResult<readonly number[]>;
          for (const [index, { sequence }] of proposals.entries())
            keepProposal(sequence, found[index], isAhead);
        },
      });
      return [task];
    },
    forget() {},
  }),
} as const satisfies Drafter;

/** What followed the latest tokens at the latest place where as many of them as possible stood before. */
function lookUp(tokens: readonly number[], wanted: number): readonly number[] {
  for (let count = Math.min(longestMatch, tokens.length - 1); count > 0; count -= 1)
    for (let start = tokens.length - count - 1; start >= 0; start -= 1)
      if (isRepeated(tokens, start, count)) return tokens.slice(start + count, start + count + wanted);
  return [];
}

/** Whether the last `count` tokens stand at `start`, too. */
function isRepeated(tokens: readonly number[], start: number, count: number): boolean {
  for (let i = 0; i < count; i += 1)
    if (tokens[start + i] !== tokens[tokens.length - count + i]) return false;
  return true;
}
