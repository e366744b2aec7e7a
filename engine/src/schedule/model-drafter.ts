/** A draft model as the drafter: weights, KV cache and activations live in the memory of the lane that drafts. */

import { sum } from '../extremes.js';
import type { PoolLayout } from '../machine/pool.js';
import type { ModelSpec } from '../model/spec.js';
import type { Checkpoint, WeightGroup } from '../model/types.js';
import type { Hop, Routes } from '../topology/topology.js';
import { placeFrame, placeRope, placeScratch } from './activations.js';
import { placeInCrossbars } from './crossbars.js';
import { buildDraftRound, draftInParts } from './draft-round.js';
import { draftSizes, laneOfDraft } from './draft-sizes.js';
import type { Drafter, Drafting, DraftNeeds, DraftRun, PlaceDraft } from './drafter.js';
import { assignBlocks } from './feeds.js';
import { groupLayout, layOutGroups } from './group-layout.js';
import { countCache, placeCache } from './kv-cache.js';
import type { ModelPlacement } from './memory-plan.js';
import { prepareOutcomes } from './outcome-round.js';
import { branches, branchTokens, extendsAlternates } from './outcomes.js';
import { draftFieldNames, type OpenPolicy } from './policy.js';
import { placeLayers, placeModel } from './resident-layers.js';
import { createTask, type Task, type TaskHead } from './task.js';

export function modelDrafter(checkpoint: Checkpoint): Drafter {
  return {
    ...{ name: checkpoint.name, checkpoint, heeds: draftFieldNames },
    laneIn: laneOfDraft,
    reserve: (needs) => placeWhereItComputes(checkpoint, needs),
    begin: (run) =>
      draftWith(run, (pass) =>
        run.policy.crossbars === 'draft' ? [] : [uploadTask(run, pass, checkpoint.bytes)],
      ),
  };
}

const cacheLabel = 'draft KV cache';

function placeWhereItComputes(draft: Checkpoint, needs: DraftNeeds): PlaceDraft {
  const { formats, routes, held } = needs;
  wayOfDraft(routes);
  const layouts = layOutGroups(draft, formats);
  const allLayers = new Set(draft.layers.keys());
  const placeBesides = besidesWeights(needs);
  return (pools) => {
    const pool = pools[routes.drafting.memory];
    const placeWeights = (label: string, group: WeightGroup) =>
      held?.hasDraft
        ? placeInCrossbars(held, pools, group, label)
        : pool.place(label, groupLayout(layouts, group).deviceBytes);
    return {
      ...placeModel(draft, layouts, pools.host, 'draft', placeWeights),
      pinned: placeLayers(draft, allLayers, (group) => placeWeights('draft weights', group)),
      ...placeBesides(draft.spec, pool),
    };
  };
}

/** What a draft has in memory beside its weights: cache, activations, rotation tables. */
export function besidesWeights({ policy, demand, formats, cacheFactor }: DraftNeeds) {
  const { numPositions, sequenceTokens } = demand;
  const { rows, cacheTokens } = measureDraft(policy, sequenceTokens);
  return (spec: ModelSpec, pool: PoolLayout) => {
    const kvCache = placeCache(spec, cacheTokens + branchTokens(policy), pool, cacheLabel, formats);
    // Any other holds no more than one step's sequences, however many there are.
    if (policy.draftCache === 'resident') countCache(pool, cacheLabel, cacheFactor);
    return {
      ...{ kvCache, formats, numPositions, kept: new Map() },
      ...{ hostScratch: null, hostSinks: null, splitCache: null, routers: null },
      frames: [
        {
          ...placeFrame(spec, rows, pool, formats),
          ...{
            host: null,
            hostExperts: null,
            hostLayer: null,
            scratch: placeScratch(spec, rows, pool, formats),
          },
        },
      ],
      firstDecodeFrame: 0,
      rope: { host: null, device: placeRope(spec, numPositions, pool) },
    };
  };
}

/**
 * The most rows of a step, and tokens in the cache, that any wave asks for.
 * @param sequenceTokens see `MemoryDemand`
 */
export function measureDraft(
  policy: OpenPolicy,
  sequenceTokens: readonly (readonly number[])[],
): { readonly rows: number; readonly cacheTokens: number } {
  const { draftBatch, draftCache, draftWindow, candidates, alternates } = policy;
  let rows = extendsAlternates(policy) ? draftBatch * alternates : draftBatch;
  let cacheTokens = 0;
  // Its first step, or every one that recomputes the cache, feeds whole contexts, or what the window shows of them.
  const seen = draftCache === 'window' ? draftWindow + candidates : Number.POSITIVE_INFINITY;
  for (const longestFirst of sequenceTokens) {
    const fed = sum(longestFirst.slice(0, draftBatch).map((tokens) => Math.min(tokens, seen)));
    rows = Math.max(rows, fed);
    cacheTokens = Math.max(cacheTokens, draftCache === 'resident' ? sum(longestFirst) : fed);
  }
  return { rows, cacheTokens };
}

/** @param bring what has to come to the device first where the draft was not there before */
export function draftWith(run: DraftRun, bring: Drafting['bring']): Drafting {
  const placement = run.placement as ModelPlacement;
  const shared = { ...run, placement, sizes: draftSizes(placement) };
  let firstBranchToken = 0;
  return {
    admit(sequences) {
      if (run.policy.draftCache === 'resident') firstBranchToken = assignBlocks(sequences, 'draftBlock');
    },
    bring,
    propose: (round) => buildDraftRound({ ...shared, ...round }),
    ...(extendsAlternates(run.policy)
      ? { proposeInParts: (round) => draftInParts({ ...shared, ...round, firstBranchToken }) }
      : {}),
    ...(branches(run.policy)
      ? { prepare: (round) => prepareOutcomes({ ...shared, ...round, firstBranchToken }) }
      : {}),
    forget(sequence, length) {
      sequence.draftCached = Math.min(sequence.draftCached, length);
    },
  };
}

/**
 * How its weights, all at once, come to where it computes: what is before that is not waited for.
 * @throws UserError when no lanes lead there
 */
export function wayOfDraft(routes: Routes): Hop {
  const way = routes.way('disk', routes.drafting.memory);
  return way[way.length - 1];
}

function uploadTask({ ids, routes }: DraftRun, pass: number, bytes: number): Task {
  const { lane } = wayOfDraft(routes);
  const head: TaskHead = {
    ...{ id: ids.next(), lane, kind: 'upload', name: 'upload draft', phase: 'decode' },
    ...{ pass, batch: -1, priority: 0, rows: 0 },
  };
  return createTask(head, { after: [], bytes, createOp: () => ({ kind: 'imagined' }) });
}
