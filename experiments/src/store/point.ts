/**
 * What a point is. Runs of one and the same point differ in seed and repeat alone, and only they are ever taken together:
 * by figures, tables, ratios, searches and whatever else asks, all of which ask here.
 */

import { digestOf, type Json } from './canonical.js';
import { determiningOf } from './determinants.js';
import type { RunRecord } from './record.js';
import { keyOfPoint } from './spec.js';

/** What of a run, be it a record or a row of a table, says which point it belongs to, and which turn of it this is. */
export interface PointOfRun {
  readonly kind: RunRecord['kind'];
  /** See {@link pointKeyOf}. */
  readonly pointKey: string;
  /** Of measured runs: another processor's run is no repeat. */
  readonly cpu: string;
  readonly cores: number;
  /** null of predictions, whose core is no part of what they come to. */
  readonly core: string | null;
  /** null where the processor computed, and of predictions. */
  readonly gpu?: string | null;
}

/**
 * Digest of everything that determines a run but its seed and repeat: of what an experiment asked for; of a run that
 * none asked for, of its spec; in records of earlier versions, which hold none, of what they say.
 */
export function pointKeyOf(record: RunRecord): string {
  const { point, spec } = record;
  if (point) return point.pointKey;
  return spec ? keyOfPoint({}, spec) : digestOf(withoutTurn(record) as Json).slice(0, 32);
}

/** What a run's record says of its point. */
export function pointOf(record: RunRecord): PointOfRun {
  const { cpu, cores } = record.provenance;
  const core = record.kind === 'measured' ? record.machine.core : null;
  return { kind: record.kind, pointKey: pointKeyOf(record), cpu, cores, core, gpu: gpuOf(record) };
}

/** The card that computed, by its name; null where the processor did, and of predictions. */
export function gpuOf(record: RunRecord): string | null {
  return record.kind === 'measured' ? (record.result.device?.name ?? null) : null;
}

/** The same text for runs of the same point, and for no others. */
export function pointIdOf({ kind, pointKey, cpu, cores, core, gpu = null }: PointOfRun): string {
  if (kind === 'simulated') return `simulated ${pointKey}`;
  return JSON.stringify([kind, pointKey, cpu, cores, core, gpu]);
}

/**
 * The same text for runs of a point that are one run: a prediction comes out the same however often it is made. Runs of
 * two points with the same text are partners: same seed, same repeat.
 */
export function turnIdOf({ kind, seed, repeat }: Pick<RunRecord, 'kind' | 'seed' | 'repeat'>): string {
  return kind === 'simulated' ? `${seed}` : `${seed}/${repeat}`;
}

/** Settings by which runs that no experiment placed can differ, each under a name: `machine.memory.deviceBytes`. */
export function determinantsOf(record: RunRecord): Readonly<Record<string, string | number>> {
  const { cpu, cores } = record.provenance;
  const gpu = gpuOf(record);
  const computer = record.kind === 'measured' ? { cpu, cores, ...(gpu && { gpu }) } : {};
  const leaves: Record<string, string | number> = {};
  flatten({ ...withoutTurn(record), computer }, '', leaves);
  return leaves;
}

function withoutTurn(record: RunRecord): Readonly<Record<string, unknown>> {
  const { seed: _seed, repeat: _repeat, ...rest } = determiningOf(record);
  return rest;
}

/** Mutates `leaves`. */
function flatten(value: unknown, path: string, leaves: Record<string, string | number>): void {
  if (typeof value === 'object' && value !== null)
    for (const [name, item] of Object.entries(value))
      flatten(item, path === '' ? name : `${path}.${name}`, leaves);
  else leaves[path] = typeof value === 'number' ? value : String(value ?? 'none');
}
