/** Reads machine files: every constant with its source, between what can exist, and no field that nothing looks at. */

import { isRecord, type JsonRecord, maybeReadJson, printable, quote, UserError } from '@specoffload/input';
import { laneNames } from '../trace/lanes.js';
import { type LaneName, type TaskKind, taskKinds } from '../trace/types.js';
import { type FlatComputeLane, type FlatMachine, unflattenMachine } from './flat-machine.js';
import { bf16Formats, type Formats, localFormats } from './formats.js';
import type { CacheTraffic, ComputeRates, KindRates, MachineModel } from './machine-model.js';

const formatsByName: Readonly<Record<string, Formats>> = {
  fp32: localFormats,
  bf16: bf16Formats,
  // For predictions of larger models on this machine: what it holds, without the limit of one arena.
  'fp32-unbounded': { ...localFormats, largestPieceBytes: Number.POSITIVE_INFINITY },
};

/** Nothing that exists is outside these; a rate that is was written in the wrong unit. */
export const rateLimits = {
  overheadSeconds: [0, 10],
  bytesPerSecond: [1e6, 1e14],
  pageableBytesPerSecond: [1e6, 1e14],
  cacheBytesPerSecond: [1e6, 1e14],
  memoryBytesPerSecond: [1e6, 1e15],
  scoreFlopsPerSecond: [1e6, 1e18],
  flopsPerSecond: [1e5, 1e18],
  secondsPerRow: [0, 1],
  latencySeconds: [0, 10],
  bytes: [1e6, 1e18],
  sigma: [0, 3],
  traffic: [0, 1000],
} as const;

const maxFileBytes = 1 << 20;

/**
 * Reads a machine file.
 * @throws UserError when it is missing, no JSON, or lacks a rate.
 */
export async function readMachineFile(path: string): Promise<MachineModel> {
  const json = await maybeReadJson(path, maxFileBytes);
  if (json === null)
    throw new UserError(
      `there is no machine file ${path}; make one with specoffload profile, or name a shipped machine`,
    );
  return parseMachineModel(json, path);
}

/**
 * Parses a machine file: constants as `{"value": 11e9, "source": "fitted: …"}`, tables as `{"values": […], "source"}`.
 * @throws UserError naming source, field, value, and what was expected.
 */
export function parseMachineModel(json: unknown, source: string): MachineModel {
  return unflattenMachine(parseFlatMachine(json, source));
}

function parseFlatMachine(json: unknown, source: string): FlatMachine {
  const file = new MachineFile(source);
  const root = file.record(json, 'content');
  if (root.schema !== 1) file.refuse('schema', root.schema, '1');
  file.assertKnown(root, '', rootFields);
  const link = file.record(root.link, 'link');
  const disk = file.record(root.disk, 'disk');
  const memory = file.record(root.memory, 'memory');
  file.assertKnown(link, 'link.', linkFields);
  file.assertKnown(disk, 'disk.', diskFields);
  file.assertKnown(memory, 'memory.', memoryFields);
  const format = file.constantWord(root.formats, 'formats', Object.keys(formatsByName));
  const hasPageCache = disk.pageableBytesPerSecond !== undefined;
  const linkRate = (field: keyof typeof rateLimits) => file.number(link[field], `link.${field}`, field);
  return {
    name: file.text(root.name, 'name'),
    description: file.text(root.description, 'description'),
    disk: {
      overheadSeconds: file.number(disk.overheadSeconds, 'disk.overheadSeconds', 'overheadSeconds'),
      bytesPerSecond: file.number(disk.bytesPerSecond, 'disk.bytesPerSecond', 'bytesPerSecond'),
      ...(hasPageCache
        ? {
            pageableBytesPerSecond: file.number(
              ...([disk.pageableBytesPerSecond, 'disk.pageableBytesPerSecond'] as const),
              'pageableBytesPerSecond',
            ),
          }
        : {}),
    },
    link: {
      overheadSeconds: linkRate('overheadSeconds'),
      bytesPerSecond: linkRate('bytesPerSecond'),
      pageableBytesPerSecond: linkRate('pageableBytesPerSecond'),
      cacheBytesPerSecond: linkRate('cacheBytesPerSecond'),
      ...file.cacheTraffic(link.cacheTraffic, 'link.cacheTraffic'),
    },
    host: file.computeLane(root.host, 'host'),
    device: file.computeLane(root.device, 'device'),
    interruptsDraft: file.flag(root.interruptsDraft, 'interruptsDraft'),
    variability: file.variability(root.variability),
    laneWidth: file.laneWidth(root.laneWidth),
    memory: {
      deviceBytes: file.number(memory.deviceBytes, 'memory.deviceBytes', 'bytes'),
      hostBytes: file.number(memory.hostBytes, 'memory.hostBytes', 'bytes'),
      diskBytes: file.number(memory.diskBytes, 'memory.diskBytes', 'bytes'),
      ...(hasPageCache ? { hasPageCache } : {}),
    },
    formats: formatsByName[format],
    ...(root.measuredUnder === undefined ? {} : { measuredUnder: file.caps(root.measuredUnder) }),
  };
}

const rootFields = [
  ...(['schema', 'name', 'description', 'disk', 'link', 'host', 'device', 'memory', 'formats'] as const),
  ...(['interruptsDraft', 'variability', 'laneWidth', 'measuredUnder'] as const),
];
const diskFields = ['overheadSeconds', 'bytesPerSecond', 'pageableBytesPerSecond'];
const linkFields = [...diskFields, 'cacheBytesPerSecond', 'cacheTraffic'];
const memoryFields = ['deviceBytes', 'hostBytes', 'diskBytes'];

const computeFields = [
  'overheadSeconds',
  'memoryBytesPerSecond',
  'cacheBytesPerSecond',
  'scoreFlopsPerSecond',
  'secondsPerRow',
  'latencySeconds',
] as const;

class MachineFile {
  readonly #source: string;

  constructor(source: string) {
    this.#source = source;
  }

  refuse(field: string, value: unknown, expected: string): never {
    throw new UserError(
      `${this.#source}: invalid ${field}: ${quote(value)}; expected ${expected}; correct it or measure it with specoffload profile`,
    );
  }

  record(value: unknown, field: string): JsonRecord {
    return isRecord(value) ? value : this.refuse(field, value, 'an object');
  }

  /** Refuses a slip of the pen: a field that nothing would look at. */
  assertKnown(fields: JsonRecord, path: string, known: readonly string[]): void {
    for (const [field, value] of Object.entries(fields))
      if (!known.includes(field))
        this.refuse(`${path}${printable(field)}`, value, `one of ${known.join(', ')} in this place`);
  }

  text(value: unknown, field: string): string {
    return typeof value === 'string' && value !== '' ? value : this.refuse(field, value, 'a text');
  }

  flag(value: unknown, field: string): boolean {
    return typeof value === 'boolean' ? value : this.refuse(field, value, 'true or false');
  }

  constantWord(value: unknown, field: string, words: readonly string[]): string {
    return words.includes(value as string)
      ? (value as string)
      : this.refuse(field, value, words.join(' or '));
  }

  /** A constant with its source. */
  number(value: unknown, field: string, limit: keyof typeof rateLimits): number {
    const { value: number, source } = this.record(value, field);
    const [least, most] = rateLimits[limit];
    if (!(typeof number === 'number' && least <= number && number <= most))
      this.refuse(field, number, `a number from ${least} to ${most} (${unitOf(limit)})`);
    this.text(source, `${field}.source`);
    return number as number;
  }

  computeLane(value: unknown, lane: string): FlatComputeLane {
    const { kinds, ...rest } = this.record(value, lane);
    const rates = this.#rates(rest, lane);
    for (const field of [...computeFields, 'arithmetic'] as const)
      if (rates[field] === undefined)
        this.refuse(`${lane}.${field}`, undefined, 'a constant with its source');
    const overrides: Partial<Record<TaskKind, KindRates>> = {};
    for (const [kind, fields] of Object.entries(
      kinds === undefined ? {} : this.record(kinds, `${lane}.kinds`),
    )) {
      if (!(taskKinds as readonly string[]).includes(kind))
        this.refuse(`${lane}.kinds`, kind, taskKinds.join(', '));
      overrides[kind as TaskKind] = this.#rates(
        this.record(fields, `${lane}.kinds.${kind}`),
        `${lane}.kinds.${kind}`,
      );
    }
    return { ...(rates as ComputeRates), kinds: overrides };
  }

  /** None where the file says nothing. */
  variability(value: unknown): FlatMachine['variability'] {
    const sigmas: Record<LaneName, number> = { disk: 0, link: 0, host: 0, device: 0 };
    if (value === undefined) return sigmas;
    for (const [lane, sigma] of Object.entries(this.record(value, 'variability'))) {
      if (!laneNames.includes(lane as LaneName)) this.refuse('variability', lane, laneNames.join(', '));
      sigmas[lane as LaneName] = this.number(sigma, `variability.${lane}`, 'sigma');
    }
    return sigmas;
  }

  laneWidth(value: unknown): FlatMachine['laneWidth'] {
    const widths: Record<LaneName, number> = { disk: 1, link: 1, host: 1, device: 1 };
    if (value === undefined) return widths;
    for (const [lane, width] of Object.entries(this.record(value, 'laneWidth'))) {
      if (!laneNames.includes(lane as LaneName)) this.refuse('laneWidth', lane, laneNames.join(', '));
      if (!(Number.isInteger(width) && 1 <= (width as number) && (width as number) <= 64))
        this.refuse(`laneWidth.${lane}`, width, 'a whole number from 1 to 64');
      widths[lane as LaneName] = width as number;
    }
    return widths;
  }

  caps(value: unknown): Readonly<Record<string, number>> {
    const caps: Record<string, number> = {};
    for (const [name, cap] of Object.entries(this.record(value, 'measuredUnder'))) {
      if (!(typeof cap === 'number' && 0 < cap && cap < Number.POSITIVE_INFINITY))
        this.refuse(`measuredUnder.${quote(name)}`, cap, 'a number above 0');
      caps[name] = cap;
    }
    return caps;
  }

  /** Nothing where the file says nothing. */
  cacheTraffic(value: unknown, path: string): { readonly cacheTraffic?: CacheTraffic } {
    if (value === undefined) return {};
    const fields = this.record(value, path);
    const number = (field: keyof CacheTraffic) => this.number(fields[field], `${path}.${field}`, 'traffic');
    return { cacheTraffic: { fixed: number('fixed'), perHead: number('perHead') } };
  }

  #rates(fields: JsonRecord, path: string): KindRates {
    const rates: Record<string, unknown> = {};
    for (const [field, value] of Object.entries(fields)) {
      if (field === 'arithmetic') rates[field] = this.#arithmetic(value, `${path}.arithmetic`);
      else if (field === 'cacheTraffic')
        Object.assign(rates, this.cacheTraffic(value, `${path}.cacheTraffic`));
      else if ((computeFields as readonly string[]).includes(field))
        rates[field] = this.number(value, `${path}.${field}`, field as (typeof computeFields)[number]);
      else
        this.refuse(
          `${path}.${field}`,
          value,
          `one of ${computeFields.join(', ')}, arithmetic, cacheTraffic`,
        );
    }
    return rates as KindRates;
  }

  #arithmetic(value: unknown, field: string): ComputeRates['arithmetic'] {
    const { values, source } = this.record(value, field);
    this.text(source, `${field}.source`);
    const [least, most] = rateLimits.flopsPerSecond;
    let lastRows = 0;
    const isPoint = (point: unknown): point is [number, number] => {
      if (!(Array.isArray(point) && point.length === 2)) return false;
      const [rows, rate] = point as [unknown, unknown];
      const isValid =
        typeof rows === 'number' &&
        rows > lastRows &&
        typeof rate === 'number' &&
        least <= rate &&
        rate <= most;
      if (isValid) lastRows = rows;
      return isValid;
    };
    if (!(Array.isArray(values) && values.length > 0 && values.every(isPoint)))
      return this.refuse(
        field,
        values,
        `pairs of ascending rows and floating-point operations per second from ${least} to ${most}`,
      );
    return values;
  }
}

function unitOf(limit: keyof typeof rateLimits): string {
  if (limit === 'bytes') return 'bytes';
  if (limit === 'sigma') return 'standard deviation of the logarithm';
  if (limit === 'traffic') return 'bytes moved per byte';
  if (limit.endsWith('Seconds') || limit === 'secondsPerRow') return 'seconds';
  return limit.startsWith('flops') || limit.startsWith('score')
    ? 'floating-point operations per second'
    : 'bytes per second';
}
