/**
 * Machines put together from parts: a GPU, its link, a host and a disk. Parts say what a data sheet says; the share of
 * it that software reaches is what the paper's machines, whose rates are fitted to measured bars, reach of their own.
 */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseQuantity, printable, quote, UserError } from '@specoffload/input';
import { machinesDirectory } from '../paths.js';
import { addPower, type PartPower } from './machine-power.js';

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

export interface MachinePart extends PartPower {
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

/** Crossbars that a machine may have besides, as a machine file has them, and what they are called. */
export async function readCrossbars(): Promise<Readonly<Record<string, { readonly name: string }>>> {
  return readJson('parts/crossbars.json');
}

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

/** Where each constant of a machine file comes from: of a lane, or the bytes of a memory. */
const constants: readonly (readonly [place: string, field: string, kind: PartKind, fact: FactName])[] = [
  ['disk', 'bytesPerSecond', 'disk', 'rate'],
  ['disk', 'pageableBytesPerSecond', 'disk', 'rate'],
  ['link', 'bytesPerSecond', 'link', 'rate'],
  ['link', 'cacheBytesPerSecond', 'host', 'memory'],
  ['host', 'arithmetic', 'host', 'flops'],
  ['host', 'memoryBytesPerSecond', 'host', 'memory'],
  ['host', 'cacheBytesPerSecond', 'host', 'memory'],
  ['host', 'scoreFlopsPerSecond', 'host', 'flops'],
  ['device', 'arithmetic', 'gpu', 'flops'],
  ['device', 'memoryBytesPerSecond', 'gpu', 'memory'],
  ['device', 'cacheBytesPerSecond', 'gpu', 'memory'],
  ['device', 'scoreFlopsPerSecond', 'gpu', 'flops'],
  ['device', 'bytes', 'gpu', 'bytes'],
];

/** A constant of a machine file. */
interface Constant {
  readonly value: number | string | readonly (readonly [rows: number, rate: number])[];
  readonly source: string;
  readonly assumed?: true;
}

type Named = { readonly name: string } & Record<string, unknown>;

/** The content of a machine file. */
export interface MachineContent {
  readonly name: string;
  readonly description: string;
  readonly memories: readonly Named[];
  readonly lanes: readonly Named[];
  readonly crossbars?: object;
}

/**
 * What no part says, such as how often software copies the KV cache, is as on `env1`.
 * @param name parts joined by +, such as `rtx-4090+pcie4+ddr5-dual+nvme4`; what is left out is what the GPU usually
 * comes with
 * @throws UserError when there is no such part, or the parts do not fit each other
 */
export async function composeMachine(name: string): Promise<MachineContent> {
  const [catalog, allCrossbars] = [await readParts(), await readCrossbars()];
  const [crossbars, usual] = takeCrossbars(name, allCrossbars);
  const names = chooseParts(usual, catalog, Object.keys(allCrossbars));
  const bases = {
    env1: await readJson<MachineContent>('env1.json'),
    env2: await readJson<MachineContent>('env2.json'),
  };
  const machine = structuredClone(bases.env1);
  for (const [place, field, kind, fact] of constants)
    holderOf(machine, place, field)[field] = reached({ catalog, names, bases, place, field, kind, fact });
  const link = holderOf(machine, 'link', 'bytesPerSecond');
  const { like } = catalog.host[names.host]!.memory!;
  const staged = constantAt(bases[like], 'link', 'pageableBytesPerSecond');
  const isBelow = numberOf(staged) < numberOf(link.bytesPerSecond as Constant);
  link.pageableBytesPerSecond = isBelow ? staged : link.bytesPerSecond;
  Object.assign(holderOf(machine, 'host', 'bytes'), hostMemory(catalog, names, bases));
  const parts = Object.fromEntries(partKinds.map((kind) => [kind, catalog[kind][names[kind]]!]));
  addPower(machine, parts as Record<PartKind, MachinePart>);
  const titles = partKinds.map((kind) => parts[kind]!.name);
  const { name: crossbarTitle, ...facts } = crossbars === null ? { name: '' } : allCrossbars[crossbars];
  if (crossbars !== null) titles.push(crossbarTitle);
  return {
    ...machine,
    name: [...partKinds.map((kind) => names[kind]), ...(crossbars === null ? [] : [crossbars])].join('+'),
    description: `${titles.join(', ')}; software as on the paper's machines`,
    ...(crossbars === null ? {} : { crossbars: facts }),
  };
}

/** The crossbars among the parts of a name, and the name without them. */
function takeCrossbars(name: string, known: object): readonly [crossbars: string | null, others: string] {
  const parts = name.split('+');
  const index = parts.findIndex((part) => Object.hasOwn(known, part));
  return index === -1 ? [null, name] : [parts[index], parts.toSpliced(index, 1).join('+')];
}

/** What is left out is what the GPU usually comes with. */
function chooseParts(name: string, catalog: PartCatalog, crossbars: readonly string[]): PartNames {
  const asked: Partial<Record<PartKind, string>> = {};
  for (const part of name.split('+')) {
    const kind = partKinds.find((kind) => Object.hasOwn(catalog[kind], part));
    if (kind === undefined)
      throw new UserError(`unknown machine: ${printable(name)}; expected ${expected(catalog, crossbars)}`);
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

function expected(catalog: PartCatalog, crossbars: readonly string[]): string {
  const kinds = partKinds.map((kind) => `${kind} ${Object.keys(catalog[kind]).join(', ')}`);
  return `env1, env2, the path of a machine file, or parts such as rtx-4090+pcie4+ddr5-dual+nvme4 (${kinds.join('; ')}; crossbars ${crossbars.join(', ')})`;
}

type Bases = Readonly<Record<FittedName, MachineContent>>;

interface Wanted {
  readonly catalog: PartCatalog;
  readonly names: PartNames;
  readonly bases: Bases;
  readonly place: string;
  readonly field: string;
  readonly kind: PartKind;
  readonly fact: FactName;
}

/** The sheet's number times the share that the paper's machine reaches of its own; as fitted where the part is its own. */
function reached({ catalog, names, bases, place, field, kind, fact }: Wanted): Constant {
  const sheet = catalog[kind][names[kind]]![fact]!;
  const { value, source, like } = sheet;
  const base = constantAt(bases[like], place, field);
  const own = fitted[like][kind];
  if (own === names[kind]) return base;
  const share = numberOf(base) / numberOf(catalog[kind][own]![fact]!);
  if (Math.abs(share - 1) < 1e-9) return { value, source, ...(sheet.assumed ? { assumed: true } : {}) };
  return {
    value: Number((numberOf(sheet) * share).toPrecision(4)),
    source: `${value} (${source}) times ${share.toPrecision(3)}, the share that ${like} reaches of its own: ${base.source}`,
    assumed: true,
  };
}

/** What the system takes on the paper's machine, it takes here; an integrated GPU takes its memory, too. */
function hostMemory(
  catalog: PartCatalog,
  names: PartNames,
  bases: Bases,
): Readonly<Record<string, Constant>> {
  const { value, source, like, assumed } = catalog.host[names.host].bytes!;
  const own = fitted[like].host;
  const bytes = constantAt(bases[like], 'host', 'bytes');
  const gpu = catalog.gpu[names.gpu];
  if (own === names.host && !gpu.takesHostMemory) return { bytes };
  const system = numberOf(catalog.host[own].bytes!) - numberOf(bytes);
  const reservedBytes: Constant = {
    value: system + (gpu.takesHostMemory ? numberOf(gpu.bytes!) : 0),
    source: `what the system takes on ${like}${gpu.takesHostMemory ? ', and what the GPU is given' : ''}`,
    assumed: true,
  };
  return { bytes: { value, source, ...(assumed ? { assumed } : {}) }, reservedBytes };
}

/** Of a table its first rate. */
function numberOf({ value }: Pick<Constant, 'value'>): number {
  if (typeof value === 'number') return value;
  if (typeof value !== 'string') return value[0][1];
  const unit = value.endsWith('FLOP/s') ? 'FLOP/s' : value.endsWith('/s') ? 'B/s' : 'B';
  const number = parseQuantity(value, unit);
  if (number === null) throw new Error(`${value} is no ${unit}`);
  return number;
}

/** The lane or the memory that has the field. */
function holderOf(
  { lanes, memories }: MachineContent,
  place: string,
  field: string,
): Record<string, unknown> {
  return (field === 'bytes' ? memories : lanes).find(({ name }) => name === place)!;
}

function constantAt(machine: MachineContent, place: string, field: string): Constant {
  return holderOf(machine, place, field)[field] as Constant;
}

/** Of the files that ship with the project. */
async function readJson<Content>(name: string): Promise<Content> {
  return JSON.parse(await readFile(join(machinesDirectory, name), 'utf8'));
}
