/** The JSON form of a definition, checked before anything runs: what is wrong is said in one sentence. */

import { assertPlain, isRecord, quote, UserError } from '@specoffload/input';
import type { SettingValue } from '../store/record.js';
import type { Axis, Choice, ExperimentDefinition } from './definition.js';
import { hasPoint, labelOf } from './expand.js';
import { reservedNames } from './expression.js';
import { assertMetric } from './metrics.js';
import { assertKnownRate, assertSetting, isSetting, isSettingValue } from './settings.js';

const fieldNames = [
  ...[
    'name',
    'question',
    'kind',
    'metric',
    'lowerIsBetter',
    'settings',
    'axes',
    'cases',
    'derived',
    'filters',
  ],
  ...['predictOn', 'repeats', 'warmups', 'seeds', 'baseline', 'quick'],
];
const quickNames = ['settings', 'axes', 'filters', 'repeats', 'warmups', 'seeds'];

/** Columns of every record: an axis of that name would hide them. */
const columnNames = ['key', 'pointKey', 'experiment', 'kind', 'seed', 'repeat', 'createdAt', 'folder'];

const mostRepeats = 1000;
const mostValues = 100_000;

/**
 * Checks a definition that came from outside, its quick form included.
 * @param source named in the message, usually the file's path.
 * @throws UserError
 */
export function parseDefinition(input: unknown, source: string): ExperimentDefinition {
  try {
    assertPlain(input, 'the definition');
    checkDefinition(input);
    const definition = input as ExperimentDefinition;
    for (const form of [definition, toQuick(definition)]) assertPoints(form);
    return definition;
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${source}: ${error.message}`);
    throw error;
  }
}

/** The definition under `--quick`, without what it says of values that its axes have no more. */
export function toQuick(definition: ExperimentDefinition): ExperimentDefinition {
  const { quick: small = {}, baseline = {}, cases = [], ...rest } = definition;
  const axes = { ...rest.axes, ...small.axes };
  const isThere = (values: Readonly<Record<string, string | number>>) =>
    Object.entries(values).every(([name, value]) => axes[name]?.some((item) => labelOf(item) === value));
  return {
    ...{ ...rest, ...small, axes },
    settings: { ...rest.settings, ...small.settings },
    cases: cases.filter(({ when }) => isThere(when)),
    ...(isThere(baseline) ? { baseline } : {}),
  };
}

/** @throws UserError when the filters leave no point. */
export function assertPoints(definition: ExperimentDefinition): void {
  if (hasPoint(definition) === false) throw noPoint(definition);
}

export function noPoint({ filters = [] }: ExperimentDefinition): UserError {
  return new UserError(
    `the filters leave no point: ${filters.join('; ')}; loosen them, or give the axes other values`,
  );
}

function checkDefinition(input: unknown): void {
  const fields = toObject(input, 'content');
  assertNames(fields, fieldNames, 'field');
  const { name, question, kind, metric, lowerIsBetter } = fields;
  if (!(typeof name === 'string' && /^[a-z0-9][a-z0-9-]{0,63}$/.test(name)))
    refuse('name', name, 'small letters, digits and hyphens');
  if (!(typeof question === 'string' && question !== '')) refuse('question', question, 'a sentence');
  if (!(kind === 'measured' || kind === 'simulated')) refuse('kind', kind, 'measured or simulated');
  const definition = fields as unknown as ExperimentDefinition;
  if (metric !== undefined) assertMetric(metric);
  if (!(lowerIsBetter === undefined || typeof lowerIsBetter === 'boolean'))
    refuse('lowerIsBetter', lowerIsBetter, 'true or false');
  if (fields.axes === undefined) refuse('axes', undefined, 'an object, {} for a single point');
  checkParts(fields, definition.kind);
  checkCases(fields.cases, definition);
  checkDerived(fields.derived);
  checkBaseline(fields.baseline, definition.axes, 'baseline');
  if (fields.predictOn !== undefined && !(typeof fields.predictOn === 'string' && kind === 'measured'))
    refuse('predictOn', fields.predictOn, 'the path of a machine file, or this, in a measured experiment');
  if (fields.quick === undefined) return;
  const quick = toObject(fields.quick, 'quick');
  assertNames(quick, quickNames, 'field of quick');
  checkParts(quick, definition.kind);
  for (const axis of Object.keys(definition.quick?.axes ?? {}))
    if (!Object.hasOwn(definition.axes, axis))
      refuse('quick.axes', axis, `axes of the definition: ${Object.keys(definition.axes).join(', ')}`);
}

/** What a definition and its quick form both may have. */
function checkParts(fields: Readonly<Record<string, unknown>>, kind: ExperimentDefinition['kind']): void {
  const { settings = {}, axes = {}, filters, repeats, warmups, seeds } = fields;
  for (const [name, value] of Object.entries(toObject(settings, 'settings')))
    assertSetting(kind, name, value);
  for (const [name, values] of Object.entries(toObject(axes, 'axes'))) checkAxis(kind, name, values);
  if (filters !== undefined && !(Array.isArray(filters) && filters.every((text) => typeof text === 'string')))
    refuse('filters', filters, 'a list of expressions');
  if (repeats !== undefined) checkCount('repeats', repeats, 1);
  if (warmups !== undefined) checkCount('warmups', warmups, 0);
  if (kind === 'simulated') assertOneRepeat(repeats);
  if (seeds !== undefined) assertSeeds(seeds);
}

/** @throws UserError */
export function assertSeeds(seeds: unknown): asserts seeds is readonly number[] {
  const isSeed = (seed: unknown) =>
    Number.isInteger(seed) && 0 <= (seed as number) && (seed as number) < 2 ** 31;
  if (
    !(Array.isArray(seeds) && seeds.length > 0 && seeds.every(isSeed) && new Set(seeds).size === seeds.length)
  )
    refuse('seeds', seeds, 'a list of different whole numbers from 0 to 2147483647');
}

/** @throws UserError for several repeats of a prediction. */
export function assertOneRepeat(repeats: unknown): void {
  if (repeats !== undefined && repeats !== 1)
    refuse(
      'repeats',
      repeats,
      '1: a prediction comes out the same every time; ask for several seeds instead',
    );
}

function checkCount(name: string, value: unknown, least: number): void {
  if (!(Number.isInteger(value) && least <= (value as number) && (value as number) <= mostRepeats))
    refuse(name, value, `a whole number from ${least} to ${mostRepeats}`);
}

function checkAxis(kind: ExperimentDefinition['kind'], name: string, values: unknown): void {
  assertKnownRate(name);
  if (!(isSetting(name) || /^[A-Za-z][A-Za-z0-9]*$/.test(name)))
    refuse('axis', name, 'a setting, or a name of letters and digits');
  if (reservedNames.includes(name) || columnNames.includes(name))
    refuse('axis', name, 'another name: expressions or records use this one');
  if (!(Array.isArray(values) && values.length > 0))
    throw new UserError(`axis ${name} is empty; expected a list with at least one value`);
  if (values.length > mostValues) refuse(`axis ${name}`, values.length, `at most ${mostValues} values`);
  for (const value of values) checkAxisValue(kind, name, value);
  const seen = new Set<string>();
  for (const value of values as Axis) {
    const label = JSON.stringify(labelOf(value));
    if (seen.has(label))
      throw new UserError(`axis ${name} has ${quote(labelOf(value))} twice; expected different values`);
    seen.add(label);
  }
}

function checkAxisValue(kind: ExperimentDefinition['kind'], name: string, value: unknown): void {
  if (isSettingValue(value)) {
    if (isSetting(name)) assertSetting(kind, name, value);
    return;
  }
  const { label, settings, ...others } = toObject(value, `axis ${name}`) as Partial<Choice>;
  if (
    !(typeof label === 'string' && label !== '' && settings !== undefined && Object.keys(others).length === 0)
  )
    refuse(`axis ${name}`, value, 'a text, a number, a list of numbers, or {"label": "…", "settings": {…}}');
  for (const [setting, own] of Object.entries(toObject(settings, `axis ${name}: ${label}`)))
    assertSetting(kind, setting, own);
}

function checkCases(cases: unknown, { axes, kind }: ExperimentDefinition): void {
  if (cases === undefined) return;
  if (!Array.isArray(cases)) refuse('cases', cases, 'a list of {"when": {…}, "settings": {…}}');
  for (const [index, entry] of cases.entries()) {
    const { when, settings, ...others } = toObject(entry, `cases[${index}]`);
    assertNames(others, [], `field of cases[${index}]`);
    checkBaseline(toObject(when, `cases[${index}].when`), axes, `cases[${index}].when`);
    for (const [name, value] of Object.entries(toObject(settings, `cases[${index}].settings`)))
      assertSetting(kind, name, value);
  }
}

function checkDerived(derived: unknown): void {
  if (derived === undefined) return;
  for (const name of Object.keys(toObject(derived, 'derived'))) {
    assertKnownRate(name);
    if (!(isSetting(name) || /^[A-Za-z][A-Za-z0-9]*$/.test(name)) || reservedNames.includes(name))
      refuse('derived', name, 'settings, or names of letters and digits');
  }
}

/** Axes and values that exist. */
function checkBaseline(baseline: unknown, axes: ExperimentDefinition['axes'], where: string): void {
  if (baseline === undefined) return;
  for (const [name, value] of Object.entries(toObject(baseline, where))) {
    const values: readonly (SettingValue | Choice)[] | undefined = Object.hasOwn(axes, name)
      ? axes[name]
      : undefined;
    if (!values) refuse(where, name, `axes: ${Object.keys(axes).join(', ')}`);
    const labels = values.map(labelOf);
    if (!labels.includes(value as SettingValue)) refuse(`${where}.${name}`, value, labels.join(', '));
  }
}

function toObject(value: unknown, where: string): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : refuse(where, value, 'an object');
}

function assertNames(fields: object, names: readonly string[], what: string): void {
  const stranger = Object.keys(fields).find((name) => !names.includes(name));
  if (stranger !== undefined)
    throw new UserError(`unknown ${what}: ${stranger}; expected ${names.join(', ') || 'when and settings'}`);
}

function refuse(what: string, value: unknown, expected: string): never {
  throw new UserError(`invalid ${what}: ${quote(value)}; expected ${expected}`);
}
