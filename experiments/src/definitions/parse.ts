/** The JSON form of a definition, checked before anything runs: what is wrong is said in one sentence. */

import { assertPlain, check, is, isRecord, quote, type Schema, UserError } from '@specoffload/input';
import type { SettingValue } from '../store/record.js';
import type { Axis, Choice, ExperimentDefinition, Settings } from './definition.js';
import { hasPoint, labelOf } from './expand.js';
import { reservedNames } from './expression.js';
import { assertMetric } from './metrics.js';
import { assertKnownRate, assertSetting, isSetting, isSettingValue } from './settings.js';

/** Columns of every record: an axis of that name would hide them. */
const columnNames = ['key', 'pointKey', 'experiment', 'kind', 'seed', 'repeat', 'createdAt', 'folder'];

type Kind = ExperimentDefinition['kind'];

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
    const definition: ExperimentDefinition = check(is.variant('kind', forms), input, '');
    checkAgainstAxes(definition);
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

/** Settings of one kind of run, each checked by its own schema. */
const settingsOf = (kind: Kind) =>
  eachOf<Settings>('an object', (name, value) => assertSetting(kind, name, value));

const axesOf = (kind: Kind) =>
  eachOf<ExperimentDefinition['axes']>('an object, {} for a single point', (name, values) =>
    checkAxis(kind, name, values),
  );

/** An object whose fields are checked one by one, whatever they are called. */
function eachOf<Output>(expected: string, checkOne: (name: string, value: unknown) => void): Schema<Output> {
  const all = (value: unknown) => {
    for (const [name, item] of Object.entries(value as object)) checkOne(name, item);
    return true;
  };
  return is.that(is.such<Output>(isRecord, expected), all, expected);
}

const seedList = is.such<readonly number[]>((seeds) => {
  const isList = is.accepts(is.listOf(is.wholeFrom(0, 2 ** 31 - 1), { least: 1 }), seeds);
  return isList && new Set(seeds).size === seeds.length;
}, 'a list of different whole numbers from 0 to 2147483647');

const oneRepeat = is.oneOf(
  [1],
  '1: a prediction comes out the same every time; ask for several seeds instead',
);

/** What a definition and its quick form both may have. */
const partsOf = (kind: Kind) => ({
  filters: is.orMissing(is.listOf(is.anyText, { expected: 'a list of expressions' })),
  repeats: is.orMissing<number>(kind === 'simulated' ? oneRepeat : is.wholeFrom(1, mostRepeats)),
  warmups: is.orMissing(is.wholeFrom(0, mostRepeats)),
  seeds: is.orMissing(seedList),
});

/** Checked against the axes, further down. */
const values = is.such<Readonly<Record<string, string | number>>>(isRecord, 'an object');

const formOf = (kind: Kind) =>
  is.onlyFields({
    name: is.matching(/^[a-z0-9][a-z0-9-]{0,63}$/, 'small letters, digits and hyphens'),
    question: is.matching(/./s, 'a sentence'),
    kind: is.oneOf([kind]),
    metric: is.orMissing(is.parsed(toMetric)),
    lowerIsBetter: is.orMissing(is.flag),
    // May be left out, and is then left as it was written.
    settings: is.orMissing(settingsOf(kind)) as Schema<Settings>,
    axes: axesOf(kind),
    ...partsOf(kind),
    cases: is.orMissing(is.listOf(is.onlyFields({ when: values, settings: settingsOf(kind) }))),
    derived: is.orMissing(eachOf<Readonly<Record<string, string>>>('an object', checkDerived)),
    predictOn: is.orMissing(
      is.such<string>(
        (path) => kind === 'measured' && typeof path === 'string',
        'the path of a machine file, or this, in a measured experiment',
      ),
    ),
    baseline: is.orMissing(values),
    quick: is.orMissing(
      is.onlyFields({
        ...partsOf(kind),
        ...{ settings: is.orMissing(settingsOf(kind)), axes: is.orMissing(axesOf(kind)) },
      }),
    ),
  }) satisfies Schema<ExperimentDefinition>;

const forms = { measured: formOf('measured'), simulated: formOf('simulated') };

/** Wherever a definition names values of axes, they must exist. */
function checkAgainstAxes({ axes, baseline = {}, cases = [], quick = {} }: ExperimentDefinition): void {
  for (const [index, { when }] of cases.entries()) checkValues(when, axes, `cases[${index}].when`);
  checkValues(baseline, axes, 'baseline');
  for (const axis of Object.keys(quick.axes ?? {}))
    if (!Object.hasOwn(axes, axis))
      refuse('quick.axes', axis, `axes of the definition: ${Object.keys(axes).join(', ')}`);
}

/** @throws UserError */
export function assertSeeds(seeds: unknown): asserts seeds is readonly number[] {
  check(seedList, seeds, '', { whole: 'seeds' });
}

/** @throws UserError for several repeats of a prediction. */
export function assertOneRepeat(repeats: unknown): void {
  check(is.orMissing(oneRepeat), repeats, '', { whole: 'repeats' });
}

function toMetric(name: unknown): string {
  assertMetric(name);
  return name;
}

function checkAxis(kind: Kind, name: string, values: unknown): void {
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

function checkAxisValue(kind: Kind, name: string, value: unknown): void {
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

function checkDerived(name: string): void {
  assertKnownRate(name);
  if (!(isSetting(name) || /^[A-Za-z][A-Za-z0-9]*$/.test(name)) || reservedNames.includes(name))
    refuse('derived', name, 'settings, or names of letters and digits');
}

/** Axes and values that exist. */
function checkValues(chosen: object, axes: ExperimentDefinition['axes'], where: string): void {
  for (const [name, value] of Object.entries(chosen)) {
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

function refuse(what: string, value: unknown, expected: string): never {
  throw new UserError(`invalid ${what}: ${quote(value)}; expected ${expected}`);
}
