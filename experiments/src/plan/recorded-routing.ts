/** Which experts a target's rows went to, as its runs have recorded it: what a planner goes by where there is a record. */

import { basename } from 'node:path';
import { type Checkpoint, type RoutingReport, UserError } from '@specoffload/engine';
import { displayPath } from '../paths.js';
import { contentsOf, openRun, type RunRecord, scanRuns } from '../store/index.js';

/** @throws UserError where the folder holds no such record, or one of a model with other layers or experts */
export function openRouting(folder: string, target: Checkpoint): RoutingReport {
  const routing = routingIn(openRun(folder).record);
  if (!routing)
    throw new UserError(
      `the run ${displayPath(folder)} has recorded no routing; expected a measured run of a model with experts`,
    );
  if (!isOf(target, routing))
    throw new UserError(
      `the run ${displayPath(folder)} is of a model with other layers or experts than ${target.name}; give a run of the same model`,
    );
  return routing;
}

function isOf({ spec }: Checkpoint, { rowsByExpert }: RoutingReport): boolean {
  const numExperts = spec.layers.map(({ ffn }) => ffn.numExperts);
  return (
    rowsByExpert.length === numExperts.length &&
    rowsByExpert.every((rows, layer) => rows.length === numExperts[layer])
  );
}

export interface RecordedRouting {
  readonly routing: RoutingReport;
  /** Name of the run's folder. */
  readonly run: string;
}

/**
 * Of the runs of a target the one that is most like what is planned: of the same prompts, else of the same number of
 * prompts, else the newest.
 * @returns null where none has recorded any
 */
export async function findRouting(
  results: string,
  target: Pick<Checkpoint, 'digest' | 'packedFrom'>,
  { name, numPrompts }: { readonly name: string; readonly numPrompts: number },
): Promise<RecordedRouting | null> {
  let best: { found: RecordedRouting; likeness: number; createdAt: string } | null = null;
  for await (const { record, folder } of scanRuns({ results, kind: 'measured' })) {
    const routing = routingIn(record);
    if (!routing || contentsOf(record.model.target) !== contentsOf(target)) continue;
    const { workload, createdAt } = record;
    const likeness = Number(workload.prompts === numPrompts) * (1 + Number(workload.name === name));
    if (best && (likeness < best.likeness || (likeness === best.likeness && createdAt < best.createdAt)))
      continue;
    best = { found: { routing, run: basename(folder) }, likeness, createdAt };
  }
  return best?.found ?? null;
}

function routingIn({ kind, result }: RunRecord): RoutingReport | undefined {
  return kind === 'measured' ? result.routing : undefined;
}
