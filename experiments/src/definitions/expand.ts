/** From a definition to its points: every combination of the axes, derived settings added, filters applied. */

import { setImmediate } from 'node:timers/promises';
import { check, printable, quote, UserError } from '@specoffload/input';
import type { SettingValue } from '../store/record.js';
import type { Choice, ExperimentDefinition, Settings } from './definition.js';
import { type Expression, type ExpressionValue, parseExpression } from './expression.js';
import { isSetting, settingNames, settingOf } from './settings.js';

/** One combination of the axes. */
export interface Point {
  /** The axes' values; a choice by its label. */
  readonly axes: Readonly<Record<string, SettingValue>>;
  /** All that it asks for. */
  readonly settings: Settings;
}

type Values = Readonly<Record<string, SettingValue>>;

/** Far beyond what finishes; an axis too many is a slip. */
const mostPoints = 1_000_000;

export function isChoice(value: SettingValue | Choice): value is Choice {
  return typeof value === 'object' && !Array.isArray(value);
}

export function labelOf(value: SettingValue | Choice): SettingValue {
  return isChoice(value) ? value.label : value;
}

/**
 * The definition's points in order, the last axis fastest; made one by one, as often as iterated.
 * @throws UserError for an expression that is refused, or an axis along which all runs would be the same; while
 * iterating, for a value that no setting takes.
 */
export function expandPoints(definition: ExperimentDefinition): Iterable<Point> {
  const { total, pointAt } = openCombinations(definition);
  return {
    *[Symbol.iterator]() {
      for (let index = 0; index < total; index += 1) {
        const point = pointAt(index);
        if (point) yield point;
      }
    },
  };
}

/** So many combinations between two looks at the signal and at whatever else the process has to do: some 10 ms. */
const combinationsPerTurn = 1000;

/**
 * The same one by one for work that can be stopped: filters may let go of a million combinations in a row.
 * @param isBackwards the last point first
 * @throws the signal's reason when it aborts
 */
export async function* walkPoints(
  definition: ExperimentDefinition,
  signal: AbortSignal,
  isBackwards = false,
): AsyncGenerator<Point> {
  const { total, pointAt } = openCombinations(definition);
  for (let step = 0; step < total; step += 1) {
    if (step % combinationsPerTurn === 0) {
      await setImmediate();
      signal.throwIfAborted();
    }
    const point = pointAt(isBackwards ? total - 1 - step : step);
    if (point) yield point;
  }
}

/**
 * Whether the filters leave a point; the sweep itself finds out where nobody can tell in a moment.
 * @returns null when none of the first fifty thousand combinations is one, and there are more
 */
export function hasPoint(definition: ExperimentDefinition): boolean | null {
  const { total, pointAt } = openCombinations(definition);
  const most = Math.min(total, 50_000);
  for (let index = 0; index < most; index += 1) if (pointAt(index)) return true;
  return most < total ? null : false;
}

interface Combinations {
  readonly total: number;
  /** null where a filter says no */
  readonly pointAt: (index: number) => Point | null;
}

function openCombinations(definition: ExperimentDefinition): Combinations {
  const { formulas, conditions } = parseExpressions(definition);
  const total = Object.values(definition.axes).reduce((product, { length }) => product * length, 1);
  if (total > mostPoints)
    throw new UserError(
      `invalid axes: ${total} combinations; expected at most ${mostPoints}, take values or axes away`,
    );
  assertEffects(definition, new Set(formulas.flatMap(([, formula]) => formula.names)));
  return { total, pointAt: (index) => makePoint(definition, index, formulas, conditions) };
}

/** Expressions of a definition, parsed. */
interface Expressions {
  readonly formulas: readonly (readonly [string, Expression])[];
  readonly conditions: readonly Expression[];
}

function parseExpressions({ axes, derived = {}, filters = [] }: ExperimentDefinition): Expressions {
  const names = new Set([...Object.keys(axes), ...settingNames]);
  const formulas = Object.entries(derived).map(([name, text]) => {
    const formula = [name, parseExpression(text, names, `derived.${name}`)] as const;
    names.add(name);
    return formula;
  });
  const conditions = filters.map((text, index) => parseExpression(text, names, `filters[${index}]`));
  return { formulas, conditions };
}

/**
 * Finds the definition's point with given values of its axes, without making the others.
 * @throws UserError for an expression that is refused; when it is asked, for a value that no setting takes.
 */
export function createLocator(definition: ExperimentDefinition): (axes: Point['axes']) => Point | null {
  const { formulas, conditions } = parseExpressions(definition);
  const names = Object.keys(definition.axes);
  return (at) => {
    if (Object.keys(at).length !== names.length) return null;
    const axes: Record<string, ExperimentDefinition['axes'][string]> = {};
    for (const name of names) {
      const wanted = JSON.stringify(at[name]);
      const value = definition.axes[name].find((item) => JSON.stringify(labelOf(item)) === wanted);
      if (value === undefined) return null;
      axes[name] = [value];
    }
    return makePoint({ ...definition, axes }, 0, formulas, conditions);
  };
}

/** A name that is nearly a setting's, such as `batch`, would sweep nothing. */
function assertEffects({ axes, cases = [] }: ExperimentDefinition, read: ReadonlySet<string>): void {
  const isUsed = (name: string) => read.has(name) || cases.some(({ when }) => Object.hasOwn(when, name));
  for (const [name, values] of Object.entries(axes))
    if (values.length > 1 && !isSetting(name) && !values.some(isChoice) && !isUsed(name))
      throw new UserError(
        `axis ${name} changes nothing: it is no setting, and no derived setting or case reads it; expected one of ${settingNames.join(', ')}, or a rate such as machine.link.bytesPerSecond`,
      );
}

/** null where a filter says no. */
function makePoint(
  definition: ExperimentDefinition,
  index: number,
  formulas: readonly (readonly [string, Expression])[],
  conditions: readonly Expression[],
): Point | null {
  const chosen = chooseValues(definition, index);
  const axes = Object.fromEntries(chosen.map(([name, value]) => [name, labelOf(value)]));
  const settings: Record<string, SettingValue> = { ...(definition.settings as Values) };
  const values: Record<string, ExpressionValue | undefined> = { ...axes };
  for (const [name, value] of chosen) {
    if (isChoice(value)) Object.assign(settings, value.settings);
    else if (isSetting(name)) settings[name] = value;
  }
  for (const { when, settings: own } of definition.cases ?? [])
    if (Object.entries(when).every(([name, value]) => axes[name] === value)) Object.assign(settings, own);
  for (const [name, formula] of formulas) {
    const value = describing(axes, () => formula.evaluate({ ...settings, ...values }));
    values[name] = value;
    if (!isSetting(name)) continue;
    describing(axes, () => check(settingOf(definition.kind, name), value, '', { whole: name }));
    settings[name] = value as SettingValue;
  }
  const isWanted = conditions.every((condition) => {
    const answer = describing(axes, () => condition.evaluate({ ...settings, ...values }));
    if (typeof answer === 'boolean') return answer;
    throw new UserError(
      `invalid filter: ${condition.text}; it gives ${quote(answer)}, expected true or false, such as of a comparison`,
    );
  });
  return isWanted ? { axes, settings: settings as Settings } : null;
}

/** The last axis varies fastest. */
function chooseValues({ axes }: ExperimentDefinition, index: number): [string, SettingValue | Choice][] {
  const chosen: [string, SettingValue | Choice][] = [];
  let rest = index;
  for (const [name, values] of Object.entries(axes).reverse()) {
    chosen.unshift([name, values[rest % values.length]]);
    rest = Math.floor(rest / values.length);
  }
  return chosen;
}

/** Says at which point it went wrong. */
function describing<T>(axes: Point['axes'], work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof UserError) throw new UserError(`${error.message} (at ${describeAxes(axes)})`);
    throw error;
  }
}

/** `system FlexGen, candidates 4`. */
export function describeAxes(axes: Point['axes']): string {
  const parts = Object.entries(axes).map(([name, value]) =>
    printable(`${name} ${typeof value === 'object' ? value.join('/') : value}`),
  );
  return parts.length === 0 ? 'the only point' : parts.join(', ');
}
