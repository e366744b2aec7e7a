/** Drafters without a model, which look up how a text goes on: one task on the host for all sequences of a round. */

import { largest, sum } from '../extremes.js';
import type { Oracle } from '../speculate/acceptance.js';
import type { Leaders } from '../speculate/leaders.js';
import type { Sequence } from '../speculate/sequence.js';
import type { Routes } from '../topology/topology.js';
import type { Drafter, PlaceDraft, RoundWork } from './drafter.js';
import type { LookedUp } from './ops.js';
import {
  beginProposals,
  draftPriority,
  imagineLeaders,
  imagineProposals,
  keepProposal,
  type Proposal,
} from './proposals.js';
import { createTask, type TaskHead } from './task.js';

/** Looks behind a sequence and tokens that are taken for its next ones. */
export interface LookUp {
  propose(sequence: Sequence, assumed: readonly number[], wanted: number): readonly number[];
  /** How else it went on there than with the token; null where it never did. */
  other(sequence: Sequence, assumed: readonly number[], token: number): OtherChoice | null;
}

export interface OtherChoice {
  readonly id: number;
  /** Latest tokens that stood before it, by so many fewer than could be looked for. */
  readonly behind: number;
}

export interface LookUpDrafter<Name extends string> {
  readonly name: Name;
  readonly roundWork: (tokens: number) => RoundWork;
  readonly guess: (text: readonly number[], wanted: number) => readonly number[];
  /** What a run looks things up with. */
  readonly open: () => LookUp;
  /** Host memory that it needs for each token of a wave's sequences. @default none */
  readonly bytesPerToken?: number;
}

const laneIn = (routes: Routes) => routes.computing('draft', 'host');

const nothingPlaced: PlaceDraft = () => null;

/** How many of the wanted candidates a prediction finds: all, unless its acceptance says how many there were. */
function countFound(oracle: Oracle, { sequence, assumed, wanted }: Proposal): number {
  return Math.min(
    wanted,
    oracle.proposes?.(sequence.index, sequence.choices.length + assumed.length) ?? wanted,
  );
}

export function lookUpDrafter<const Name extends string>({
  name,
  roundWork,
  guess,
  open,
  bytesPerToken = 0,
}: LookUpDrafter<Name>) {
  return {
    ...{ name, checkpoint: null, heeds: ['candidates', 'alternates'], laneIn, roundWork, guess },
    reserve({ demand }) {
      if (bytesPerToken === 0) return nothingPlaced;
      const tokens = largest(demand.sequenceTokens.map(sum));
      return ({ host }) => {
        host.place(`${name}'s texts`, bytesPerToken * tokens);
        return null;
      };
    },
    begin({ routes, ids, policy: { alternates } }) {
      const lookUp = open();
      const lookBehind = ({ sequence, assumed, wanted }: Proposal): LookedUp => {
        const found = lookUp.propose(sequence, assumed, wanted);
        const leadersAt = (id: number, place: number): Leaders => {
          const other = lookUp.other(sequence, [...assumed, ...found.slice(0, place)], id);
          return other ? { ids: [id, other.id], behind: [0, other.behind] } : { ids: [id], behind: [0] };
        };
        return { ids: found, leaders: alternates > 0 ? found.map(leadersAt) : null };
      };
      const imagineBehind = (oracle: Oracle, proposal: Proposal): LookedUp => {
        const found = countFound(oracle, proposal);
        const ids = imagineProposals(oracle, [proposal], 0, found);
        const leaders = () => imagineLeaders(oracle, [proposal], ids, 0, found, alternates);
        return { ids, leaders: alternates > 0 ? leaders() : null };
      };
      return {
        admit() {},
        bring: () => [],
        forget() {},
        propose(round) {
          const proposals = beginProposals(round);
          if (proposals.length === 0) return [];
          const { pass, batch, isAhead } = round;
          const head: TaskHead = {
            ...{ id: ids.next(), lane: laneIn(routes), kind: 'draft' },
            ...{ name: `look up batch ${batch}`, phase: 'decode' },
            ...{ pass, batch, priority: draftPriority, rows: proposals.length },
          };
          const task = createTask(head, {
            ...{ after: [], ...roundWork(sum(proposals.map(({ sequence }) => sequence.length))) },
            createOp: () => ({
              kind: 'look-up',
              work: () => proposals.map(lookBehind),
            }),
            imagine: (oracle) => proposals.map((proposal) => imagineBehind(oracle, proposal)),
            onEnd: (result) => {
              const found = result as readonly LookedUp[];
              for (const [index, { sequence }] of proposals.entries())
                keepProposal(sequence, { ...found[index], shares: null }, isAhead);
            },
          });
          return [task];
        },
      };
    },
  } as const satisfies Drafter;
}
