/** The JSON form of a definition, checked before anything runs: what is wrong is said in one sentence. */

import { assertPlain, check, is, isRecord, type Schema, UserError } from '@specoffload/input';
import type { Axis, ExperimentDefinition, Settings } from './definition.js';
import { hasPoint, labelOf } from './expand.js';
import { reservedNames } from './expression.js';
import { metricName } from './metrics.js';
import { assertKnownRate, isSetting, isSettingValue, settingOf, settingsOf } from './settings.js';

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
    check(referencesTo(definition.axes), definition, '');
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

const axesOf = (kind: Kind) => is.byName((name) => axisOf(kind, name));

const expectedSeeds = 'a list of different whole numbers from 0 to 2147483647';
const seedList = is.that(
  is.listOf(is.wholeFrom(0, 2 ** 31 - 1), { least: 1, expected: expectedSeeds }),
  (seeds) => new Set(seeds).size === seeds.length,
  expectedSeeds,
);

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

/** Values of axes by their names, which must exist: see `referencesTo`. */
const values = is.mapOf(is.anything as Schema<string | number>);

const formOf = (kind: Kind) =>
  is.onlyFields({
    name: is.matching(/^[a-z0-9][a-z0-9-]{0,63}$/, 'small letters, digits and hyphens'),
    question: is.matching(/./s, 'a sentence'),
    kind: is.oneOf([kind]),
    metric: is.orMissing(metricName),
    lowerIsBetter: is.orMissing(is.flag),
    // May be left out, and is then left as it was written.
    settings: is.orMissing(settingsOf(kind)) as Schema<Settings>,
    axes: axesOf(kind),
    ...partsOf(kind),
    cases: is.orMissing(is.listOf(is.onlyFields({ when: values, settings: settingsOf(kind) }))),
    derived: is.orMissing(is.byName(derivedOf)),
    bandit: is.orMissing(
      is.onlyFields({
        priorMean: is.orMissing(is.amount),
        ...{ priorSigma: is.orMissing(is.positive), noiseSigma: is.orMissing(is.positive) },
      }),
    ),
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
function referencesTo(axes: ExperimentDefinition['axes']): Schema {
  const among = (schemaOf: (axis: Axis) => Schema) =>
    is.orMissing(
      is.onlyFields(
        Object.fromEntries(Object.entries(axes).map(([name, axis]) => [name, is.orMissing(schemaOf(axis))])),
      ),
    );
  const chosen = among((axis) => is.oneOf(axis.map(labelOf) as string[]));
  return is.fields({
    baseline: chosen,
    cases: is.orMissing(is.listOf(is.fields({ when: chosen }))),
    quick: is.orMissing(is.fields({ axes: among(() => is.anything) })),
  });
}

/** @throws UserError */
export function assertSeeds(seeds: unknown): asserts seeds is readonly number[] {
  check(seedList, seeds, '', { whole: 'seeds' });
}

/** @throws UserError for several repeats of a prediction. */
export function assertOneRepeat(repeats: unknown): void {
  check(is.orMissing(oneRepeat), repeats, '', { whole: 'repeats' });
}

const newName = is.that(
  is.such<string>(
    (name) => isSetting(name as string) || /^[A-Za-z][A-Za-z0-9]*$/.test(name as string),
    'a setting, or a name of letters and digits',
  ),
  (name) => !reservedNames.includes(name),
  'another name: expressions use this one',
);
const axisName = is.that(
  newName,
  (name) => !columnNames.includes(name),
  'another name: records use this one',
);

/** Expressions are read with the names that they may use, see `expand.ts`. */
function derivedOf(name: string): Schema<string> {
  assertKnownRate(name);
  check(newName, name, '', { whole: 'derived' });
  return is.anything as Schema<string>;
}

function axisOf(kind: Kind, name: string): Schema<Axis> {
  assertKnownRate(name);
  check(axisName, name, '', { whole: 'axis' });
  const own = isSetting(name) ? () => settingOf(kind, name) : () => is.anything;
  const choice = is.onlyFields({ label: is.text, settings: settingsOf(kind) });
  const value = is.chosen((item) => {
    if (isSettingValue(item)) return own();
    return isRecord(item) ? choice : notAxisValue;
  }) as Schema<Axis[number]>;
  return is.that(
    is.listOf(value, { least: 1, most: mostValues, expected: `a list of 1 to ${mostValues} values` }),
    (axis) => new Set(axis.map(spell)).size === axis.length,
    (axis) => `different values, but ${findTwice(axis.map(spell))} is there twice`,
  );
}

const notAxisValue = is.neither('a text, a number, a list of numbers, or {"label": "…", "settings": {…}}');

const spell = (value: Axis[number]) => JSON.stringify(labelOf(value));

function findTwice(labels: readonly string[]): string | undefined {
  return labels.find((label, index) => labels.indexOf(label) < index);
}
