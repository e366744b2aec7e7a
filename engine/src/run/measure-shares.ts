/**
 * HeteGen's balance on this machine: halves of an FFN of each kind are brought to the device and computed on the host,
 * each alone, before anything counts.
 */

import { smallest } from '../extremes.js';
import type { WeightGroup } from '../model/types.js';
import { decodeRows, type HostShares, measuredHostShare, printedHostShare } from '../schedule/balance.js';
import { InPlace } from '../schedule/in-place.js';
import { modelCosts } from '../schedule/layer-costs.js';
import type { MemoryPlan } from '../schedule/memory-plan.js';
import type { OpenPolicy } from '../schedule/policy.js';
import { createTask, type TaskHead } from '../schedule/task.js';
import { type SlotOf, WeightStream } from '../schedule/weight-stream.js';
import type { TaskIds } from '../schedule/work.js';
import type { Dispatcher } from './dispatcher.js';

export interface ShareTrials {
  readonly plan: MemoryPlan;
  readonly policy: OpenPolicy;
  readonly dispatcher: Pick<Dispatcher, 'add' | 'settled' | 'spans'>;
  readonly ids: TaskIds;
  readonly slotOf: SlotOf;
}

/** Each is timed so often; the least is what nothing disturbed. */
const numTrials = 3;

/** Before the first pass, so that nobody takes them for its own. */
const trialPass = -2;

/** What the host computes of each FFN that does not stay on the device; projections come whole. */
export async function measureShares(trials: ShareTrials): Promise<HostShares> {
  const { plan, policy } = trials;
  const { layers, kinds } = modelCosts(plan.target);
  const inPlace = new InPlace(policy, plan.target);
  const byKind: number[] = [];
  for (const kind of kinds.keys()) {
    const group = plan.target.checkpoint.layers
      .filter((_, layer) => layers[layer].kind === kind)
      .flatMap(({ experts }) => experts)
      .find((expert) => !plan.target.pinned.has(expert.id) && !inPlace.of('decode', expert));
    const isKnown = policy.balance === 'printed' && byKind.length > 0;
    byKind.push(isKnown ? byKind[0] : group ? await measureShare(trials, group) : 0);
  }
  return ({ kind, layer, id }) =>
    kind === 'expert' && !plan.target.pinned.has(id) ? byKind[layers[layer].kind] : 0;
}

async function measureShare(trials: ShareTrials, group: WeightGroup): Promise<number> {
  const seconds: { host: number; link: number }[] = [];
  for (let trial = 0; trial < numTrials; trial += 1) seconds.push(await timeHalves(trials, group));
  const [host, link] = [smallest(seconds.map((one) => one.host)), smallest(seconds.map((one) => one.link))];
  if (trials.policy.balance === 'measured') return measuredHostShare(host, link);
  // What the device takes is not known of a part that was never routed to it; it would be a small term.
  const rateOf = (time: number) => group.storedBytes / 2 / time;
  return printedHostShare({ host: rateOf(host), link: rateOf(link), device: Number.POSITIVE_INFINITY });
}

/** One half crosses the link; then the other is computed on the host, for as many rows as decode will have. */
async function timeHalves(trials: ShareTrials, group: WeightGroup): Promise<{ host: number; link: number }> {
  const { plan, policy, dispatcher, ids, slotOf } = trials;
  const stream = new WeightStream(plan, policy, ids, slotOf, () => 0.5);
  const timed = async (id: number) => {
    await dispatcher.settled(id);
    const { startSeconds, endSeconds } = dispatcher.spans.findLast((span) => span.id === id)!;
    return endSeconds - startSeconds;
  };
  dispatcher.add(stream.bring(trialPass, 'decode', group));
  const { upload } = stream.arrival(trialPass, group)!;
  const link = await timed(upload);
  const shared = stream.shareOf(trialPass, group)!;
  const { expertsPerToken, numExperts } = modelCosts(plan.target).layers[group.layer];
  const usual = Math.ceil((decodeRows(policy) * expertsPerToken) / numExperts);
  const rows = policy.balance === 'printed' ? 1 : usual;
  const head: TaskHead = {
    ...{ id: ids.next(), lane: plan.routes.computing('expert', 'host'), kind: 'expert', name: 'balance' },
    ...{ phase: 'decode', pass: trialPass, batch: -1, priority: -1, rows },
  };
  dispatcher.add([
    createTask(head, {
      after: [upload],
      frees: stream.heldSlots(trialPass, group),
      createOp: () => ({
        ...{ kind: 'host-expert', frame: plan.target.firstDecodeFrame, layer: group.layer },
        ...{ expert: group.expert, indices: Int32Array.from({ length: rows }, (_, row) => row) },
        ...{ weights: shared.hostWeights(stream.stagedAddressOf(trialPass, group)), width: shared.hostWidth },
      }),
    }),
  ]);
  return { link, host: await timed(head.id) };
}
