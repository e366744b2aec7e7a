/** Every setting of a point: what it takes, and for which kind of run. */

import { isRateOfMachine, machineRates, parsePolicy, policyFields, strategyNames } from '@specoffload/engine';
import { quote, UserError } from '@specoffload/input';
import { mostCacheFactor } from '../inputs/caps.js';
import { parseBytes, parseBytesPerSecond, parseFlopsPerSecond } from '../inputs/sizes.js';
import type { SettingValue } from '../store/record.js';
import type { Settings } from './definition.js';

type Kind = 'measured' | 'simulated';

interface Setting {
  readonly kinds: readonly Kind[];
  /** @throws UserError: `invalid prompts: 0; expected a whole number from 1 to 65536`. */
  readonly check: (name: string, value: unknown) => void;
}

function refuse(name: string, value: unknown, expected: string): never {
  throw new UserError(`invalid ${name}: ${quote(value)}; expected ${expected}`);
}

const text: Setting['check'] = (name, value) => {
  if (!(typeof value === 'string' && value !== '')) refuse(name, value, 'a text');
};

const word =
  (...words: readonly string[]): Setting['check'] =>
  (name, value) => {
    if (!words.includes(value as string)) refuse(name, value, words.join(', '));
  };

const whole =
  (least: number, most: number): Setting['check'] =>
  (name, value) => {
    if (!(Number.isInteger(value) && least <= (value as number) && (value as number) <= most))
      refuse(name, value, `a whole number from ${least} to ${most}`);
  };

const amount =
  (least: number, most: number): Setting['check'] =>
  (name, value) => {
    if (!(typeof value === 'number' && least <= value && value <= most))
      refuse(name, value, `a number from ${least} to ${most}`);
  };

const size: Setting['check'] = (name, value) => {
  toBytes(name, value);
};
const rate: Setting['check'] = (name, value) => {
  toBytesPerSecond(name, value);
};

const acceptance: Setting['check'] = (name, value) => {
  const isRate = (number: unknown) => typeof number === 'number' && 0 <= number && number <= 1;
  if (typeof value === 'string' && value !== '') return;
  if (isRate(value) || (Array.isArray(value) && value.length > 0 && value.every(isRate))) return;
  refuse(name, value, 'a rate from 0 to 1, a list of rates by position, or an acceptance file');
};

const both: readonly Kind[] = ['measured', 'simulated'];
const simulated: readonly Kind[] = ['simulated'];
const measured: readonly Kind[] = ['measured'];

const runSettings: Readonly<Record<string, Setting>> = {
  strategy: { kinds: both, check: word(...strategyNames) },
  target: { kinds: both, check: text },
  draft: { kinds: both, check: text },
  machine: { kinds: both, check: text },
  workload: { kinds: both, check: text },
  prompts: { kinds: both, check: whole(1, 65_536) },
  promptTokens: { kinds: simulated, check: whole(1, 1 << 20) },
  maxNewTokens: { kinds: both, check: whole(1, 1 << 20) },
  deviceMemory: { kinds: both, check: size },
  hostMemory: { kinds: both, check: size },
  acceptance: { kinds: simulated, check: acceptance },
  accounting: { kinds: both, check: word('useful', 'as-published') },
  routingSkew: { kinds: simulated, check: amount(0, 10) },
  unit: { kinds: simulated, check: word('ffn', 'expert') },
  linkCap: { kinds: measured, check: rate },
  diskCap: { kinds: measured, check: rate },
  hostCacheCap: { kinds: measured, check: rate },
  linkCacheCap: { kinds: measured, check: rate },
  hostWeightsCap: { kinds: measured, check: rate },
  hostArithmeticCap: {
    kinds: measured,
    check: (name, value) => {
      toFlopsPerSecond(name, value);
    },
  },
  deviceCacheFactor: { kinds: measured, check: amount(1, mostCacheFactor) },
  draftCacheFactor: { kinds: measured, check: amount(1, mostCacheFactor) },
  planned: { kinds: measured, check: word('with draft', 'without draft') },
  deviceCores: { kinds: measured, check: whole(1, 1024) },
  hostCores: { kinds: measured, check: whole(1, 1024) },
  readsInFlight: { kinds: measured, check: whole(1, 64) },
};

const policyField: Setting = {
  kinds: both,
  check: (name, value) => {
    parsePolicy({ [name]: value });
  },
};

const machineRate: Setting = {
  kinds: simulated,
  check: (name, value) => {
    toRate(name, value);
  },
};

/** Names of all settings but the machine's rates, which are `machine.` and a path. */
export const settingNames: readonly string[] = [...Object.keys(runSettings), ...Object.keys(policyFields)];

function maybeSetting(name: string): Setting | undefined {
  if (Object.hasOwn(runSettings, name)) return runSettings[name];
  if (Object.hasOwn(policyFields, name)) return policyField;
  return isMachineRate(name) ? machineRate : undefined;
}

export function isSetting(name: string): boolean {
  return maybeSetting(name) !== undefined;
}

/** `machine.link.bytesPerSecond` and the like. */
function isMachineRate(name: string): boolean {
  return name.startsWith('machine.') && isRateOfMachine(name.slice('machine.'.length));
}

/** @throws UserError when there is no such setting, it is not for this kind of run, or the value does not fit it. */
export function assertSetting(kind: Kind, name: string, value: unknown): void {
  assertKnownRate(name);
  const setting = maybeSetting(name);
  if (!setting)
    throw new UserError(
      `unknown setting: ${name}; expected one of ${settingNames.join(', ')}, or a rate such as machine.link.bytesPerSecond`,
    );
  if (!setting.kinds.includes(kind))
    throw new UserError(
      `${name} is no setting of a ${kind} point, only of a ${setting.kinds[0]} one; leave it out`,
    );
  setting.check(name, value);
}

/** @throws UserError for the name of a rate that no machine has: nothing else may be called so. */
export function assertKnownRate(name: string): void {
  if (!name.startsWith('machine.') || isMachineRate(name)) return;
  const known = machineRates.map((rate) => `machine.${rate}`);
  throw new UserError(`unknown rate of a machine: ${quote(name)}; expected one of ${known.join(', ')}`);
}

export function isSettingValue(value: unknown): value is SettingValue {
  if (typeof value === 'number') return Number.isFinite(value);
  return (
    typeof value === 'string' ||
    (Array.isArray(value) && value.length > 0 && value.every((item) => Number.isFinite(item)))
  );
}

/** Bytes, from a number of them or a text with its unit. */
export function toBytes(name: string, value: unknown): number {
  if (typeof value === 'string') return parseBytes(name, value);
  whole(4096, 2 ** 46)(name, typeof value === 'number' ? Math.floor(value) : value);
  return Math.floor(value as number);
}

/** Bytes per second, likewise. */
export function toBytesPerSecond(name: string, value: unknown): number {
  if (typeof value === 'string') return parseBytesPerSecond(name, value);
  amount(1000, 1e13)(name, value);
  return value as number;
}

/** Floating-point operations per second, likewise. */
export function toFlopsPerSecond(name: string, value: unknown): number {
  if (typeof value === 'string') return parseFlopsPerSecond(name, value);
  amount(1e5, 1e18)(name, value);
  return value as number;
}

/** A machine's rate: a number in the unit of its name, or a text with its unit where that is bytes or bytes per second. */
export function toRate(name: string, value: unknown): number {
  if (typeof value === 'string')
    return /bytes$/i.test(name) ? parseBytes(name, value) : parseBytesPerSecond(name, value);
  if (!(Number.isFinite(value) && (value as number) >= 0)) refuse(name, value, 'a number of at least 0');
  return value as number;
}

/** The policy fields among settings. */
export function policyOf(settings: Settings): Record<string, SettingValue> {
  return Object.fromEntries(
    Object.entries(settings).filter(([name]) => Object.hasOwn(policyFields, name)),
  ) as Record<string, SettingValue>;
}
