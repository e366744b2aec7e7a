/** Every setting of a point: the values that it takes, and the kinds of run that it is for. */

import {
  arithmetics,
  drafterNames,
  isRateOfMachine,
  machineRates,
  type Policy,
  type ProductNoise,
  policyFields,
  policySchemas,
  productNoiseFields,
  type SamplingField,
  type SamplingInput,
  samplingFields,
  samplingRules,
  strategyNames,
  targetFormats,
} from '@specoffload/engine';
import { check, is, quote, type Schema, UserError } from '@specoffload/input';
import { type CapSetting, caps, mostCacheFactor } from '../inputs/caps.js';
import { parseDevice } from '../inputs/devices.js';
import { runFormats } from '../inputs/packed-target.js';
import { parseBytes, parseBytesPerSecond, parseRate } from '../inputs/sizes.js';
import type { SettingValue } from '../store/record.js';
import { setting } from '../store/words.js';
import type { ExperimentDefinition, RunSettings, Settings } from './definition.js';

type Kind = ExperimentDefinition['kind'];

interface Setting {
  readonly kinds: readonly Kind[];
  readonly schema: Schema;
  /** Of measured points, where it has fewer values there. */
  readonly ofMeasured?: Schema;
}

const of =
  (...kinds: readonly Kind[]) =>
  (schema: Schema): Setting => ({ kinds, schema });
const both = of('measured', 'simulated');
const simulated = of('simulated');
const measured = of('measured');

const acceptanceWords = 'a rate from 0 to 1, a list of rates by position, or an acceptance file';
const acceptedShare = is.numberFrom(0, 1, acceptanceWords);

/** Read for its refusal, and left as it was written. */
const readBy = (read: (value: unknown) => unknown) =>
  is.parsed((value) => {
    read(value);
    return value;
  });
const size = (name: string) => readBy((value) => toBytes(name, value));

const capSettings = Object.fromEntries(
  Object.values(caps).map(({ setting, unit }) => [
    setting,
    measured(readBy((value) => toCap(setting, unit, value))),
  ]),
) as Readonly<Record<CapSetting, Setting>>;

/** The seed is a run's own. */
const { seed: _seed, ...askedSampling } = samplingFields;
const samplingSettings = Object.fromEntries(
  Object.entries(askedSampling).map(([name, { schema }]) => [name, measured(schema)]),
) as Readonly<Record<Exclude<SamplingField, 'seed'>, Setting>>;

const runSettings = {
  strategy: both(is.oneOf(strategyNames)),
  target: both(is.text),
  draft: both(is.text),
  drafter: both(is.oneOf(drafterNames)),
  machine: both(is.text),
  workload: both(is.text),
  prompts: both(is.wholeFrom(1, 65_536)),
  promptTokens: simulated(is.wholeFrom(1, 1 << 20)),
  maxNewTokens: both(is.wholeFrom(1, 1 << 20)),
  deviceMemory: both(size('deviceMemory')),
  hostMemory: both(size('hostMemory')),
  acceptance: simulated(
    is.either(acceptanceWords, acceptedShare, is.text, is.listOf(acceptedShare, { least: 1 })),
  ),
  accounting: both(is.oneOf(['useful', 'as-published'])),
  requestsPerSecond: both(is.numberFrom(1e-6, 1e6)),
  referenceJoules: both(is.positive),
  referenceSeconds: both(is.positive),
  routingSkew: simulated(is.numberFrom(0, 10)),
  unit: simulated(is.oneOf(['ffn', 'expert'])),
  targetFormat: {
    ...both(is.oneOf(targetFormats)),
    ofMeasured: is.oneOf(
      runFormats,
      `${runFormats.join(', ')}: other formats round, and can be predicted only`,
    ),
  },
  ...capSettings,
  ...samplingSettings,
  samplingRule: measured(is.oneOf(samplingRules)),
  productNoise: measured(productNoiseFields.size),
  noisyGroups: measured(productNoiseFields.groups),
  deviceCacheFactor: measured(is.numberFrom(1, mostCacheFactor)),
  draftCacheFactor: measured(is.numberFrom(1, mostCacheFactor)),
  planned: both(is.oneOf(['with draft', 'with any drafter', 'without draft'])),
  device: measured(readBy((kind) => parseDevice(String(kind)))),
  arithmetic: measured(is.oneOf(arithmetics)),
  deviceCores: measured(is.wholeFrom(1, 1024)),
  prefillCores: measured(is.wholeFrom(1, 1024)),
  hostCores: measured(is.wholeFrom(1, 1024)),
  readsInFlight: measured(is.wholeFrom(1, 64)),
} satisfies Readonly<Record<keyof RunSettings, Setting>>;

/** Names of all settings but the machine's rates, which are `machine.` and a path. */
export const settingNames: readonly string[] = [...Object.keys(runSettings), ...Object.keys(policyFields)];

function maybeSetting(name: string): Setting | undefined {
  if (Object.hasOwn(runSettings, name)) return runSettings[name as keyof RunSettings];
  if (Object.hasOwn(policyFields, name)) return both(policySchemas[name as keyof Policy]);
  return isMachineRate(name) ? simulated(readBy((value) => toRate(name, value))) : undefined;
}

export function isSetting(name: string): boolean {
  return maybeSetting(name) !== undefined;
}

/** `machine.link.bytesPerSecond` and the like. */
function isMachineRate(name: string): boolean {
  return name.startsWith('machine.') && isRateOfMachine(name.slice('machine.'.length));
}

/** @throws UserError when there is no such setting, or it is not for this kind of run. */
export function settingOf(kind: Kind, name: string): Schema {
  assertKnownRate(name);
  const known = maybeSetting(name);
  if (!known)
    throw new UserError(
      `unknown setting: ${name}; expected one of ${settingNames.join(', ')}, or a rate such as machine.link.bytesPerSecond`,
    );
  if (known.kinds.includes(kind)) return (kind === 'measured' && known.ofMeasured) || known.schema;
  throw new UserError(
    `${name} is no setting of a ${kind} point, only of a ${known.kinds[0]} one; leave it out`,
  );
}

/** Settings of one kind of run. */
export function settingsOf(kind: Kind): Schema<Settings> {
  return is.byName((name) => settingOf(kind, name)) as Schema<Settings>;
}

/** @throws UserError for the name of a rate that no machine has: nothing else may be called so. */
export function assertKnownRate(name: string): void {
  if (!name.startsWith('machine.') || isMachineRate(name)) return;
  const known = machineRates.map((rate) => `machine.${rate}`);
  throw new UserError(`unknown rate of a machine: ${quote(name)}; expected one of ${known.join(', ')}`);
}

export function isSettingValue(value: unknown): value is SettingValue {
  return is.accepts(setting, value) && !(Array.isArray(value) && value.length === 0);
}

/** Bytes, from a number of them or a text with its unit. */
export function toBytes(name: string, value: unknown): number {
  if (typeof value === 'string') return parseBytes(name, value);
  const bytes = typeof value === 'number' ? Math.floor(value) : value;
  return check(is.wholeFrom(4096, 2 ** 46), bytes, '', { whole: name });
}

/** A rate in the cap's unit, likewise. */
export function toCap(name: string, unit: keyof typeof capLimits, value: unknown): number {
  if (typeof value === 'string') return parseRate[unit](name, value);
  const [least, most] = capLimits[unit];
  return check(is.numberFrom(least, most), value, '', { whole: name });
}

const capLimits = { 'B/s': [1000, 1e13], 'FLOP/s': [1e5, 1e18] } as const;

/** A machine's rate: a number in the unit of its name, or a text with its unit where that is bytes or bytes per second. */
export function toRate(name: string, value: unknown): number {
  if (typeof value === 'string')
    return /bytes$/i.test(name) ? parseBytes(name, value) : parseBytesPerSecond(name, value);
  return check(is.amount, value, '', { whole: name });
}

/** The policy fields among settings. */
export function policyOf(settings: Settings): Record<string, SettingValue> {
  return Object.fromEntries(
    Object.entries(settings).filter(([name]) => Object.hasOwn(policyFields, name)),
  ) as Record<string, SettingValue>;
}

/** Noise of products, where a setting says how large; of the layers' unless another one says whose. */
export function productNoiseOf({ productNoise: size, noisyGroups: groups = 'layers' }: Settings) {
  return size === undefined ? {} : { productNoise: { size, groups } as Omit<ProductNoise, 'seed'> };
}

/** How tokens are drawn, where a setting says so. */
export function samplingOf(settings: Settings): SamplingInput | undefined {
  const asked = Object.entries(settings).filter(([name]) => Object.hasOwn(askedSampling, name));
  const { samplingRule: rule } = settings;
  return asked.length > 0 ? { ...Object.fromEntries(asked), ...(rule ? { rule } : {}) } : undefined;
}
