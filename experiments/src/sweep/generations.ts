/**
 * Runs of one name that were asked for with different settings: each generation by itself. Definitions belong to one
 * generation while they agree in everything but which values of their axes they run.
 */

import type { ExperimentDefinition } from '../definitions/definition.js';
import { createLocator, isChoice, labelOf } from '../definitions/expand.js';
import type { StoredDefinition } from '../definitions/stored-definitions.js';
import { withAxes } from '../statistics/varying.js';
import { canonicalJson, type Json } from '../store/canonical.js';
import { byAge, type StoredRun } from '../store/index.js';

export interface Generation {
  /** First letters of the digest of its latest definition; `unnamed` of runs whose definition is not stored. */
  readonly id: string;
  /** The latest one; null where none is stored. */
  readonly definition: ExperimentDefinition | null;
  /** Oldest first. */
  readonly runs: readonly StoredRun[];
  /** Settings that other generations have otherwise: `acceptance 0.7`. */
  readonly settings: string;
}

const idLetters = 8;

/** Of runs whose definition is not stored, as of earlier versions. */
const unnamed = 'unnamed';

/**
 * @param definitions latest first
 * @returns those that have runs, the latest first
 */
export function splitGenerations(
  runs: readonly StoredRun[],
  definitions: readonly StoredDefinition[],
): Generation[] {
  const families = groupDefinitions(definitions).map((members) => {
    const locators = members.map(({ definition }) => createMember(definition));
    const [{ digest, definition }] = members as [StoredDefinition];
    return { digest, definition, runs: runs.filter((run) => locators.some((isMember) => isMember(run))) };
  });
  const claimed = new Set(families.flatMap((family) => family.runs));
  const rest = nameUnexplained(runs.filter((run) => !claimed.has(run)));
  const all = [
    ...families.filter((family, i) => isOwn(family.runs, families.slice(0, i))),
    ...(rest.length > 0 ? [{ digest: unnamed, definition: null, runs: rest }] : []),
  ];
  return all.map(({ digest, definition, runs: own }) => ({
    ...{
      id: digest.slice(0, idLetters),
      definition,
      runs: [...own].sort((a, b) => byAge(a.record, b.record)),
    },
    settings: describeDifference(
      definition,
      all.map((other) => other.definition),
    ),
  }));
}

/** `acceptance 0.5, 12 runs, the last of 2026-01-31 12:00 UTC (generation 1a2b3c4d)`. */
export function describeGeneration({ id, settings, runs }: Generation): string {
  const last = runs.at(-1)!.record.createdAt.slice(0, 16).replace('T', ' ');
  const count = `${runs.length} run${runs.length === 1 ? '' : 's'}`;
  return `${settings}${settings === '' ? '' : ', '}${count}, the last of ${last} UTC (generation ${id})`;
}

/** Whether there is anything in it that newer ones do not show. */
function isOwn(
  runs: readonly StoredRun[],
  newer: readonly { readonly runs: readonly StoredRun[] }[],
): boolean {
  return runs.length > 0 && !newer.some((other) => isWithin(runs, new Set(other.runs)));
}

const isWithin = (runs: readonly StoredRun[], all: ReadonlySet<StoredRun>) =>
  runs.every((run) => all.has(run));

function groupDefinitions(definitions: readonly StoredDefinition[]): StoredDefinition[][] {
  const families: StoredDefinition[][] = [];
  for (const stored of definitions) {
    const family = families.find(([latest]) => isSameGeneration(latest!.definition, stored.definition));
    if (family) family.push(stored);
    else families.push([stored]);
  }
  return families;
}

/** Whether two definitions agree in everything but which values of their axes they run. */
export function isSameGeneration(a: ExperimentDefinition, b: ExperimentDefinition): boolean {
  const fixed = ({ kind, settings, derived = {}, predictOn, axes }: ExperimentDefinition) =>
    canonicalJson(
      plain({ kind, settings, derived, predictOn: predictOn ?? null, axes: Object.keys(axes).sort() }),
    );
  if (fixed(a) !== fixed(b)) return false;
  const casesOf = ({ cases = [] }: ExperimentDefinition) => cases.map((each) => canonicalJson(plain(each)));
  const [few, many] = [casesOf(a), casesOf(b)].sort((x, y) => x.length - y.length);
  if (!few!.every((each) => many!.includes(each))) return false;
  const contentOf = (definition: ExperimentDefinition, name: string) =>
    new Map(
      definition.axes[name].filter(isChoice).map((choice) => [labelOf(choice), canonicalJson(plain(choice))]),
    );
  return Object.keys(a.axes).every((name) => {
    const other = contentOf(b, name);
    return [...contentOf(a, name)].every(([label, content]) => (other.get(label) ?? content) === content);
  });
}

const plain = (value: unknown) => JSON.parse(JSON.stringify(value)) as Json;

/** Whether the definition asks for a run's point: the same axes, and the same settings at them. */
function createMember(definition: ExperimentDefinition): (run: StoredRun) => boolean {
  const locate = createLocator(definition);
  const settingsAt = new Map<string, string | null>();
  return ({ record: { point } }) => {
    if (point === undefined) return false;
    const place = JSON.stringify(point.axes);
    if (!settingsAt.has(place)) {
      const found = locate(point.axes);
      settingsAt.set(place, found && canonicalJson(plain(found.settings)));
    }
    return settingsAt.get(place) === canonicalJson(point.settings as Json);
  };
}

/**
 * Without a definition nobody knows which settings were fixed: all that vary become axes, but for those that follow
 * from axes that are names of something, such as a system.
 */
function nameUnexplained(runs: readonly StoredRun[]): readonly StoredRun[] {
  const points = runs.flatMap(({ record }) => record.point ?? []);
  const names = new Set(points.flatMap(({ settings }) => Object.keys(settings)));
  const unexplained = [...names].filter((name) => {
    const valueAt = new Map<string, string>();
    return !points.every(({ axes, settings }) => {
      if (Object.hasOwn(axes, name)) return true;
      const named = Object.entries(axes).filter(([axis]) => !Object.hasOwn(settings, axis));
      const [place, value] = [JSON.stringify(named), JSON.stringify(settings[name] ?? null)];
      if (!valueAt.has(place)) valueAt.set(place, value);
      return valueAt.get(place) === value;
    });
  });
  if (unexplained.length === 0) return runs;
  return runs.map(({ record, folder }) => ({ record: withAxes(record, unexplained), folder }));
}

/** `acceptance 0.7`; that its choices or formulas differ where the settings do not. */
function describeDifference(
  definition: ExperimentDefinition | null,
  all: readonly (ExperimentDefinition | null)[],
): string {
  if (all.length === 1) return '';
  if (definition === null) return 'runs whose definition is not stored';
  const known = all.filter((other) => other !== null);
  const names = new Set(known.flatMap(({ settings }) => Object.keys(settings)));
  const at = ({ settings }: ExperimentDefinition, name: string) =>
    JSON.stringify((settings as Readonly<Record<string, unknown>>)[name] ?? 'not set');
  const differing = [...names].filter((name) => new Set(known.map((other) => at(other, name))).size > 1);
  if (differing.length === 0)
    return known.length === 1 ? 'as the stored definition asks' : 'other choices, cases or formulas';
  return differing.map((name) => `${name} ${at(definition, name).replaceAll('"', '')}`).join(', ');
}
