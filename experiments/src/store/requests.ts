/**
 * Requests that come one after the other, each waiting until its batch is full: what one takes, how long it takes, and
 * both as one cost (Camel, arXiv 2508.09173).
 */

import { type Checked, is } from '@specoffload/input';
import type { RunRecord } from './record.js';

const { amount, described, orMissing } = is;

const requests = is.picked({
  perSecond: described(amount, '1/s', 'requests that come'),
  referenceJoules: described(orMissing(amount), 'J', 'a request of cost 1 takes'),
  referenceSeconds: described(orMissing(amount), 's', 'a request of cost 1 takes'),
});

/** What a spec says of them, where anybody asked. */
export const requestsChoice = described(
  orMissing(requests),
  '',
  'how often requests come, and the request that others are compared with; left out: all prompts are there at once',
);
export type Requests = Checked<typeof requests>;

/** Sequences that begin and end together. */
function batchOf({ policy, workload: { prompts } }: RunRecord): { size: number; share: number } {
  const numWaves = Math.max(1, Math.ceil(prompts / (policy.decodeBatch * policy.batches)));
  return { size: prompts / numWaves, share: 1 / numWaves };
}

export function joulesPerRequest({ result: { energy }, workload: { prompts } }: RunRecord): number | null {
  return energy ? energy.joules / prompts : null;
}

/** From a request's coming to its end: on average half of the others of its batch come after it. */
export function requestSeconds(record: RunRecord, asked: Requests | undefined): number | null {
  if (!asked) return null;
  const { size, share } = batchOf(record);
  return (size - 1) / (2 * asked.perSecond) + record.result.seconds * share;
}

/** Half its energy, half its time, each by the reference's. */
export function requestCost(record: RunRecord, asked: Requests | undefined): number | null {
  const { referenceJoules, referenceSeconds } = asked ?? {};
  const [joules, seconds] = [joulesPerRequest(record), requestSeconds(record, asked)];
  if (joules === null || seconds === null || !referenceJoules || !referenceSeconds) return null;
  return 0.5 * (joules / referenceJoules) + 0.5 * (seconds / referenceSeconds);
}
