/**
 * Machines put together from parts: a GPU, its link, a host and a disk. Parts say what a data sheet says; the share of
 * it that software reaches is what the paper's machines, whose rates are fitted to measured bars, reach of their own.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { printable, quote, UserError } from '@specoffload/input';
import { machinesDirectory } from '../paths.js';
import { parseBytes, parseBytesPerSecond, parseFlopsPerSecond } from './sizes.js';

export const partKinds = ['gpu', 'link', 'host', 'disk'] as const;
export type PartKind = (typeof partKinds)[number];

/** What a data sheet says, as people write it: `165.2TFLOP/s`, `1008GB/s`, `24GiB`. */
export interface SheetFact {
  readonly value: string;
  readonly source: string;
  readonly assumed?: true;
  /** The paper's machine whose share of its own peak is taken. */
  readonly like: FittedName;
}

export interface MachinePart {
  readonly name: string;
  readonly flops?: SheetFact;
  readonly memory?: SheetFact;
  readonly bytes?: SheetFact;
  readonly rate?: SheetFact;
  /** Of a GPU: links that it has, and the parts that it usually comes with. */
  readonly links?: readonly string[];
  readonly usually?: readonly string[];
  /** An integrated GPU: its memory is taken from the host's. */
  readonly takesHostMemory?: true;
}

/** Part by its name, of one kind. */
export type PartCatalog = Readonly<Record<PartKind, Readonly<Record<string, MachinePart>>>>;

export async function readParts(): Promise<PartCatalog> {
  const read = async (kind: PartKind) => [kind, await readJson(`parts/${kind}s.json`)];
  return Object.fromEntries(await Promise.all(partKinds.map(read))) as PartCatalog;
}

/** The parts of the paper's machines. */
const fitted = {
  env1: { gpu: 'rtx-4090', link: 'pcie3', host: 'ddr4-quad', disk: 'nvme3' },
  env2: { gpu: 'rtx-4090', link: 'pcie4', host: 'ddr4-octa', disk: 'nvme3' },
} as const satisfies Readonly<Record<string, PartNames>>;

type FittedName = keyof typeof fitted;
type PartNames = Readonly<Record<PartKind, string>>;
type FactName = 'flops' | 'memory' | 'bytes' | 'rate';

/** Where each rate of a machine file comes from. */
const rates: readonly (readonly [path: string, kind: PartKind, fact: FactName])[] = [
  ['disk.bytesPerSecond', 'disk', 'rate'],
  ['disk.pageableBytesPerSecond', 'disk', 'rate'],
  ['link.bytesPerSecond', 'link', 'rate'],
  ['link.cacheBytesPerSecond', 'host', 'memory'],
  ['host.arithmetic', 'host', 'flops'],
  ['host.memoryBytesPerSecond', 'host', 'memory'],
  ['host.cacheBytesPerSecond', 'host', 'memory'],
  ['host.scoreFlopsPerSecond', 'host', 'flops'],
  ['device.arithmetic', 'gpu', 'flops'],
  ['device.memoryBytesPerSecond', 'gpu', 'memory'],
  ['device.cacheBytesPerSecond', 'gpu', 'memory'],
  ['device.scoreFlopsPerSecond', 'gpu', 'flops'],
  ['memory.deviceBytes', 'gpu', 'bytes'],
];

/** A constant of a machine file. */
export interface MachineConstant {
  readonly value: number;
  readonly source: string;
  readonly assumed?: true;
}

/**
 * The content of a machine file. What no part says, such as how often software copies the KV cache, is as on `env1`.
 * @param name parts joined by +, such as `rtx-4090+pcie4+ddr5-dual+nvme4`; what is left out is what the GPU usually
 * comes with
 * @throws UserError when there is no such part, or the parts do not fit each other
 */
export async function composeMachine(name: string): Promise<Record<string, unknown>> {
  const catalog = await readParts();
  const names = chooseParts(name, catalog);
  const bases = { env1: await readJson('env1.json'), env2: await readJson('env2.json') };
  const machine = structuredClone(bases.env1);
  for (const [path, kind, fact] of rates)
    setConstant(machine, path, reachedRate(catalog, names, bases, path, kind, fact));
  const link = constantAt(machine, 'link.bytesPerSecond');
  const { like } = factOf(catalog, 'host', names.host, 'memory');
  const staged = constantAt(bases[like], 'link.pageableBytesPerSecond');
  setConstant(machine, 'link.pageableBytesPerSecond', staged.value < link.value ? staged : link);
  setConstant(machine, 'memory.hostBytes', hostBytes(catalog, names, bases));
  const titles = partKinds.map((kind) => catalog[kind][names[kind]]!.name);
  return {
    ...machine,
    name: partKinds.map((kind) => names[kind]).join('+'),
    description: `${titles.join(', ')}; software as on the paper's machines`,
  };
}

/** What is left out is what the GPU usually comes with. */
function chooseParts(name: string, catalog: PartCatalog): PartNames {
  const asked: Partial<Record<PartKind, string>> = {};
  for (const part of name.split('+')) {
    const kind = partKinds.find((kind) => Object.hasOwn(catalog[kind], part));
    if (kind === undefined)
      throw new UserError(`unknown machine: ${printable(name)}; expected ${expected(catalog)}`);
    if (asked[kind] !== undefined)
      throw new UserError(
        `invalid machine: ${quote(name)}; it has two of ${kind}: ${asked[kind]} and ${part}`,
      );
    asked[kind] = part;
  }
  if (asked.gpu === undefined)
    throw new UserError(
      `invalid machine: ${quote(name)}; expected a GPU among its parts: ${Object.keys(catalog.gpu).join(', ')}`,
    );
  const { links, usually } = catalog.gpu[asked.gpu]!;
  const [link, host, disk] = usually as readonly [string, string, string];
  const names = { ...{ link, host, disk }, ...asked } as PartNames;
  if (!links!.includes(names.link))
    throw new UserError(
      `invalid machine: ${quote(name)}; ${names.gpu} has ${links!.join(' or ')}, not ${names.link}`,
    );
  return names;
}

function expected(catalog: PartCatalog): string {
  const kinds = partKinds.map((kind) => `${kind} ${Object.keys(catalog[kind]).join(', ')}`);
  return `env1, env2, the path of a machine file, or parts such as rtx-4090+pcie4+ddr5-dual+nvme4 (${kinds.join('; ')})`;
}

type Bases = Readonly<Record<FittedName, Record<string, unknown>>>;

/** The sheet's rate times the share that the paper's machine reaches of its own; as fitted where the part is its own. */
function reachedRate(
  catalog: PartCatalog,
  names: PartNames,
  bases: Bases,
  path: string,
  kind: PartKind,
  factName: FactName,
): MachineConstant {
  const fact = factOf(catalog, kind, names[kind], factName);
  const { like } = fact;
  const base = constantAt(bases[like], path);
  if (fitted[like][kind] === names[kind]) return base;
  const share = base.value / sheetValue(factOf(catalog, kind, fitted[like][kind], factName));
  const isWhole = Math.abs(share - 1) < 1e-9;
  const source = isWhole
    ? fact.source
    : `${fact.value} (${fact.source}) times ${share.toPrecision(3)}, the share that ${like} reaches of its own: ${base.source}`;
  return {
    value: Number((sheetValue(fact) * share).toPrecision(isWhole ? 12 : 4)),
    source,
    ...(isWhole && !fact.assumed ? {} : { assumed: true as const }),
  };
}

/** What the system takes on the paper's machine, it takes here. */
function hostBytes(catalog: PartCatalog, names: PartNames, bases: Bases): MachineConstant {
  const fact = factOf(catalog, 'host', names.host, 'bytes');
  const own = fitted[fact.like].host;
  const base = constantAt(bases[fact.like], 'memory.hostBytes');
  const gpu = catalog.gpu[names.gpu]!;
  if (own === names.host && !gpu.takesHostMemory) return base;
  const taken = gpu.takesHostMemory ? sheetValue(gpu.bytes!) : 0;
  const reserved = sheetValue(factOf(catalog, 'host', own, 'bytes')) - base.value;
  return {
    value: sheetValue(fact) - reserved - taken,
    source: `${fact.value} (${fact.source}), less what the system takes on ${fact.like}${taken > 0 ? ' and what the GPU is given' : ''}`,
    assumed: true,
  };
}

function factOf(catalog: PartCatalog, kind: PartKind, part: string, fact: FactName): SheetFact {
  return catalog[kind][part]![fact]!;
}

function sheetValue({ value }: SheetFact): number {
  if (value.endsWith('FLOP/s')) return parseFlopsPerSecond('part', value);
  return value.endsWith('/s') ? parseBytesPerSecond('part', value) : parseBytes('part', value);
}

/** Of a machine file; of a table its first rate. */
export function constantAt(machine: Record<string, unknown>, path: string): MachineConstant {
  const { values, ...constant } = path
    .split('.')
    .reduce((node, name) => node[name] as Record<string, unknown>, machine) as unknown as MachineConstant & {
    readonly values?: readonly (readonly [number, number])[];
  };
  return values ? { ...constant, value: values[0]![1] } : constant;
}

function setConstant(
  machine: Record<string, unknown>,
  path: string,
  { value, ...rest }: MachineConstant,
): void {
  const [part, field] = path.split('.') as [string, string];
  const isTable = field === 'arithmetic';
  (machine[part] as Record<string, unknown>)[field] = {
    ...(isTable ? { values: [[1, value]] } : { value }),
    ...rest,
  };
}

async function readJson(name: string): Promise<Record<string, unknown>> {
  return JSON.parse(await readFile(join(machinesDirectory, name), 'utf8'));
}
