/** Reading `run.json` back: whatever a file holds becomes a {@link RunRecord} or one sentence about what is wrong. */

import { idleCauses, laneNames, strategyNames } from '@specoffload/engine';
import { isRecord, quote, UserError } from '@specoffload/input';
import type { RunRecord } from './record.js';
import { toCurrentSchema } from './schema.js';

/** Checks one value; `path` says where it stands. */
type Check = (value: unknown, path: string) => void;

/**
 * @param source named in the message, usually the file's path.
 * @throws UserError: `results/…/run.json: invalid result.seconds: "fast"; expected a number of at least 0`.
 */
export function parseRunRecord(input: unknown, source: string): RunRecord {
  anything(input, source);
  const record = toCurrentSchema(input as Readonly<Record<string, unknown>>, source);
  checkRecord(record, source);
  return record as unknown as RunRecord;
}

const refuse = (value: unknown, path: string, expected: string): never => {
  const [source, ...field] = path.split('\n');
  throw new UserError(
    `${source}: invalid ${field.join('.') || 'record'}: ${quote(value)}; expected ${expected}`,
  );
};

const text: Check = (value, path) => {
  if (typeof value !== 'string') refuse(value, path, 'a string');
};
const flag: Check = (value, path) => {
  if (typeof value !== 'boolean') refuse(value, path, 'true or false');
};
const amount: Check = (value, path) => {
  if (!(typeof value === 'number' && 0 <= value && value < Number.POSITIVE_INFINITY))
    refuse(value, path, 'a number of at least 0');
};
/** A sum of durations may exceed the whole by its rounding. */
const fraction: Check = (value, path) => {
  if (!(typeof value === 'number' && 0 <= value && value <= 1 + 1e-9)) refuse(value, path, '0 to 1');
};
const count: Check = (value, path) => {
  if (!(Number.isSafeInteger(value) && (value as number) >= 0)) refuse(value, path, 'a whole number');
};
const digest: Check = (value, path) => {
  if (!(typeof value === 'string' && /^[0-9a-f]{16,64}$/.test(value))) refuse(value, path, 'a hex digest');
};
const isoTime: Check = (value, path) => {
  if (!(typeof value === 'string' && /^\d{4}-\d\d-\d\dT/.test(value) && !Number.isNaN(Date.parse(value))))
    refuse(value, path, 'a time such as 2026-01-31T12:00:00.000Z');
};
const oneOf =
  (...words: readonly unknown[]): Check =>
  (value, path) => {
    if (!words.includes(value)) refuse(value, path, words.join(' or '));
  };
const orNull =
  (check: Check): Check =>
  (value, path) => {
    if (value !== null) check(value, path);
  };
const orMissing =
  (check: Check): Check =>
  (value, path) => {
    if (value !== undefined) check(value, path);
  };
const isFiniteNumber = (value: unknown) => Number.isFinite(value);
const setting: Check = (value, path) => {
  const isList = Array.isArray(value) && value.every(isFiniteNumber);
  if (!(typeof value === 'string' || isFiniteNumber(value) || isList))
    refuse(value, path, 'a text, a number or a list of numbers');
};
const mapOf =
  (check: Check): Check =>
  (value, path) => {
    anything(value, path);
    for (const [name, item] of Object.entries(value as Record<string, unknown>))
      check(item, `${path}\n${name}`);
  };
const listOf =
  (check: Check): Check =>
  (value, path) => {
    if (!Array.isArray(value)) return refuse(value, path, 'a list');
    value.forEach((item, i) => {
      check(item, `${path}\n${i}`);
    });
  };
/** Fields that are not named are let through: a later version of the schema may add some. */
const object = (fields: Readonly<Record<string, Check>>): Check => {
  const checks = Object.entries(fields).map(([name, check]) => [name, `\n${name}`, check] as const);
  return (value, path) => {
    if (!isRecord(value)) return refuse(value, path, 'an object');
    for (const [name, step, check] of checks)
      check(Object.hasOwn(value, name) ? value[name] : undefined, path + step);
  };
};
/** An object whatever its fields. */
const anything = object({});
const perLane = (check: Check): Check => object(Object.fromEntries(laneNames.map((lane) => [lane, check])));

const model = object({ name: text, parameters: count, bytes: count, digest });
const phase = object({
  seconds: amount,
  lanes: perLane(object({ busySeconds: amount, utilization: fraction, bytes: amount, numTasks: count })),
  deviceIdle: orMissing(object(Object.fromEntries(idleCauses.map((cause) => [cause, amount])))),
});
const pool = object({ peakBytes: amount, budgetBytes: amount });
const acceptance = object({
  proposed: count,
  accepted: count,
  rate: fraction,
  tokensPerRound: amount,
  byPosition: listOf(object({ proposed: count, accepted: count })),
});

const workload = {
  name: text,
  prompts: count,
  promptTokens: count,
  maxNewTokens: count,
  stopAtEos: flag,
  digest,
};
const outcome = {
  newTokens: count,
  generatedTokens: count,
  seconds: amount,
  tokensPerSecond: amount,
  phases: object({ prefill: phase, decode: phase }),
  acceptance: orNull(acceptance),
  memory: object({ device: pool, host: pool }),
  bytesMoved: object({ disk: amount, link: amount }),
  passes: count,
};
const common = {
  key: digest,
  createdAt: isoTime,
  strategy: oneOf(...strategyNames),
  policy: mapOf(setting),
  seed: count,
  repeat: count,
  model: object({ target: model, draft: orNull(model) }),
  point: orMissing(
    object({
      ...{ experiment: text, definition: orMissing(digest), pointKey: digest },
      ...{ axes: mapOf(setting), settings: mapOf(setting) },
    }),
  ),
  provenance: object({
    commit: orNull(text),
    dirty: orNull(flag),
    node: text,
    packages: mapOf(text),
    cpu: text,
    cores: count,
    memoryBytes: count,
  }),
};

const cacheFactors = { deviceCacheFactor: orMissing(amount), draftCacheFactor: orMissing(amount) };

const checkMeasured = object({
  ...common,
  kind: oneOf('measured'),
  machine: object({
    name: text,
    lanes: object({
      device: object({ cores: count }),
      host: object({ cores: count }),
      disk: object({ readsInFlight: count }),
    }),
    memory: object({ deviceBytes: count, hostBytes: count, ...cacheFactors }),
    caps: object({
      linkBytesPerSecond: orNull(amount),
      diskBytesPerSecond: orNull(amount),
      hostCacheBytesPerSecond: orMissing(amount),
      linkCacheBytesPerSecond: orMissing(amount),
      hostFlopsPerSecond: orMissing(amount),
      hostWeightBytesPerSecond: orMissing(amount),
    }),
    core: oneOf('native', 'twin'),
  }),
  workload: object(workload),
  result: object({
    ...outcome,
    setupSeconds: amount,
    nearTies: count,
    outputDigest: digest,
    directReads: flag,
    laneGaps: perLane(object({ median: amount, p95: amount, count })),
  }),
  conditions: orMissing(object({ stolenShare: fraction, othersShare: fraction, isDisturbed: flag })),
});

const checkSimulated = object({
  ...common,
  kind: oneOf('simulated'),
  machine: object({
    name: text,
    lanes: perLane(object({})),
    memory: object({ deviceBytes: count, hostBytes: count, diskBytes: count, ...cacheFactors }),
    options: object({
      ...{ interruptsDraft: flag, laneWidth: perLane(count), variability: perLane(amount) },
      formats: orMissing(
        object({
          ...{ weightElementBytes: orNull(amount), cacheElementBytes: amount },
          ...{ activationElementBytes: amount, largestPieceBytes: orNull(amount) },
        }),
      ),
      predictionVersion: orMissing(count),
    }),
  }),
  workload: object({
    ...workload,
    routingSkew: amount,
    acceptance: orNull(object({ kind: oneOf('rates', 'recorded'), name: text })),
  }),
  result: object(outcome),
});

const checkKind = object({ kind: oneOf('measured', 'simulated') });
const checkRecord: Check = (value, path) => {
  checkKind(value, path);
  const check = (value as { kind: string }).kind === 'measured' ? checkMeasured : checkSimulated;
  check(value, path);
};
