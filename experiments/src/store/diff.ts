/** What differs between two runs: in what was run, in what came out, and in where it was run. */

import { columns, type RowColumn, type RowValue } from './columns.js';
import { earlierKeyOf } from './determinants.js';
import { gpuOf } from './point.js';
import type { RunRecord } from './record.js';
import { choicesIn } from './spec.js';

/** A field that the records do not agree on. */
export interface FieldDifference {
  /** Such as `policy.candidates`. */
  readonly field: string;
  /** null where the record has no such field. */
  readonly a: RowValue;
  readonly b: RowValue;
}

export interface ResultDifference extends FieldDifference {
  readonly unit: RowColumn['unit'];
  /** b / a; null where that is no number. */
  readonly ratio: number | null;
}

export interface RunDiff {
  /** Whether both are repeats of one run: nothing that determines it differs. Names are no more than names. */
  readonly isSameConfiguration: boolean;
  /** Kind, strategy, resolved policy, seed, models, choices such as the drafter, machine, workload. */
  readonly configuration: readonly FieldDifference[];
  /** What their experiments asked for. */
  readonly point: readonly FieldDifference[];
  /** Every result that either has, also those that agree. */
  readonly results: readonly ResultDifference[];
  /** Whether the generated tokens are the same; null where a prediction generated none. */
  readonly isSameOutput: boolean | null;
  /** Code, packages and machine. */
  readonly provenance: readonly FieldDifference[];
  /** What else the machine did. */
  readonly conditions: readonly FieldDifference[];
}

export function diffRuns(a: RunRecord, b: RunRecord): RunDiff {
  const outputs = [a, b].map((record) => (record.kind === 'measured' ? record.result.outputDigest : null));
  return {
    isSameConfiguration: earlierKeyOf({ ...a, repeat: 0 }) === earlierKeyOf({ ...b, repeat: 0 }),
    configuration: differencesOf(configurationOf(a), configurationOf(b)),
    point: differencesOf(askedOf(a), askedOf(b)),
    results: compareResults(a, b),
    isSameOutput: outputs.includes(null) ? null : outputs[0] === outputs[1],
    provenance: differencesOf({ ...a.provenance, gpu: gpuOf(a) }, { ...b.provenance, gpu: gpuOf(b) }),
    conditions: differencesOf(conditionsOf(a), conditionsOf(b)),
  };
}

function configurationOf({ kind, strategy, policy, seed, model, machine, workload, spec }: RunRecord) {
  return { kind, strategy, policy, seed, model, ...choicesIn(spec), machine, workload };
}

/** Axes are settings too: they are compared once. */
function askedOf({ point }: RunRecord) {
  if (point === undefined) return {};
  const { experiment, axes } = point;
  const settings = Object.entries(point.settings).filter(([name]) => !Object.hasOwn(axes, name));
  return { experiment, axes, settings: Object.fromEntries(settings) };
}

function conditionsOf(record: RunRecord) {
  return record.kind === 'measured' ? (record.conditions ?? {}) : {};
}

function differencesOf(a: object, b: object): FieldDifference[] {
  const [leavesA, leavesB] = [leavesOf(a), leavesOf(b)];
  const fields = new Set([...leavesA.keys(), ...leavesB.keys()]);
  return [...fields]
    .map((field) => ({ field, a: leavesA.get(field) ?? null, b: leavesB.get(field) ?? null }))
    .filter((difference) => JSON.stringify(difference.a) !== JSON.stringify(difference.b));
}

/** Every value that is no object, by its path; lists of numbers whole, others item by item. */
function leavesOf(value: object, path = ''): Map<string, RowValue> {
  const leaves = new Map<string, RowValue>();
  for (const [name, item] of Object.entries(value)) {
    const field = path === '' ? name : `${path}.${name}`;
    if (typeof item !== 'object' || item === null || isNumbers(item)) leaves.set(field, item);
    else for (const [deeper, leaf] of leavesOf(item, field)) leaves.set(deeper, leaf);
  }
  return leaves;
}

function isNumbers(value: object): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}

function compareResults(a: RunRecord, b: RunRecord): ResultDifference[] {
  return columns
    .filter(({ group, type }) => group === 'result' && type !== 'VARCHAR')
    .map(({ name, unit, of }) => ({ field: name, unit, a: of(a), b: of(b), ratio: ratioOf(of(a), of(b)) }))
    .filter((result) => result.a !== null || result.b !== null);
}

function ratioOf(a: RowValue, b: RowValue): number | null {
  return typeof a === 'number' && typeof b === 'number' && a !== 0 ? b / a : null;
}
