/** `specoffload machines`: what can be predicted on, and what each machine's constants are and come from. */

import { fromFirstSchema, parseMachineModel } from '@specoffload/engine';
import { isRecord, maybeReadJson, UserError, writeWholeFile } from '@specoffload/input';
import type { Command } from 'commander';
import {
  composeMachine,
  type MachineContent,
  type MachinePart,
  type PartKind,
  partKinds,
  readCrossbars,
  readParts,
} from '../../inputs/machine-parts.js';
import { maybeMachinePath, shippedMachines } from '../../inputs/machines.js';
import { formatBytes, formatFlops, formatRate, plural, threeDigits } from '../../terminal/format.js';
import { formatTable } from '../../terminal/table.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';

export function addMachinesCommand(program: Command, _context: CommandContext): void {
  const machines = program
    .command('machines')
    .description('list the machines that can be predicted on, show one');
  addListCommand(machines);
  addShowCommand(machines);
}

function addListCommand(machines: Command): void {
  const command = machines
    .command('list')
    .description('print machines that ship, and parts to put others together from');
  withCommonOptions(command, 'specoffload machines list').action(async (options: CommonOptions) => {
    const [whole, parts, crossbars] = [await shippedMachines(), await readParts(), await readCrossbars()];
    const output = outputFor(options);
    output.say(`whole machines: ${whole.join(', ')}\n`);
    output.say(
      describeParts(
        partKinds.flatMap((kind) =>
          Object.entries(parts[kind]).map(([name, part]) => ({ kind, name, part })),
        ),
      ),
    );
    output.say(`\ncrossbars besides: ${Object.keys(crossbars).join(', ')}`);
    output.say(
      '\nJoined by +, such as rtx-4090+pcie4+ddr5-dual+nvme4; what is left out is what the GPU usually comes with. ' +
        'Rates above are those of data sheets; specoffload machines show says what is reached of them.',
    );
    output.document({ whole, parts, crossbars });
  });
}

interface PartRow {
  readonly kind: PartKind;
  readonly name: string;
  readonly part: MachinePart;
}

function describeParts(rows: readonly PartRow[]): string {
  return formatTable<PartRow>(
    [
      { title: 'part', align: 'left', text: ({ kind }) => kind },
      { title: 'name', align: 'left', text: ({ name }) => name },
      { title: 'rate', text: ({ part }) => (part.memory ?? part.rate)!.value },
      { title: 'arithmetic', text: ({ part }) => part.flops?.value ?? '' },
      { title: 'memory', text: ({ part }) => part.bytes?.value ?? '' },
      { title: 'usually with', align: 'left', text: ({ part }) => part.usually?.join('+') ?? '' },
      { title: 'what it is', align: 'left', text: ({ part }) => part.name },
    ],
    rows,
  );
}

interface ShowOptions extends CommonOptions {
  readonly out?: string;
}

function addShowCommand(machines: Command): void {
  const command = machines
    .command('show')
    .description("print a machine's constants with their sources, or write them to a file to be changed")
    .argument('<machine>', 'env1, env2, parts joined by +, or a machine file')
    .option('--out <file>', 'write the machine file, which --machine takes');
  withCommonOptions(
    command,
    'specoffload machines show rtx-4090+pcie4+ddr5-dual+nvme4',
    'specoffload machines show rtx-5090 --out mine.json',
  ).action(async (which: string, { out, ...options }: ShowOptions) => {
    const content = await readContent(which);
    const output = outputFor(options);
    const { name, description } = content as MachineContent;
    output.say(`${name}: ${description}\n`);
    output.say(describeConstants(constantsIn(content)));
    if (out !== undefined) {
      await writeWholeFile(out, `${JSON.stringify(content, null, 2)}\n`);
      output.say(`\nwritten to ${out}`);
    }
    output.document(content);
  });
}

async function readContent(which: string): Promise<object> {
  const path = await maybeMachinePath(which);
  if (path === null) return composeMachine(which);
  const json = await maybeReadJson(path, 1 << 20);
  if (!isRecord(json))
    throw new UserError(`there is no machine file ${path}; specoffload machines list names others`);
  parseMachineModel(json, path); // what cannot be predicted on is not shown as if it could
  return fromFirstSchema(json, path) as object;
}

interface ConstantRow {
  readonly path: string;
  readonly value: string;
  readonly isAssumed: boolean;
  readonly source: string;
}

function describeConstants(rows: readonly ConstantRow[]): string {
  return formatTable<ConstantRow>(
    [
      { title: 'constant', align: 'left', text: ({ path }) => path },
      { title: 'value', text: ({ value }) => value },
      { title: 'assumed', align: 'left', text: ({ isAssumed }) => (isAssumed ? 'yes' : '') },
      { title: 'source', align: 'left', text: ({ source }) => source },
    ],
    rows,
  );
}

/** Whatever has a source, in the order of the file; lanes and memories by their names. */
function constantsIn(node: object, path = ''): ConstantRow[] {
  return Object.entries(node).flatMap(([key, entry]: [string, unknown]) => {
    if (Array.isArray(entry))
      return constantsIn(Object.fromEntries(entry.map((one) => [one.name, one])), path);
    if (!isRecord(entry)) return [];
    const here = `${path}${key}`;
    const { source, value, assumed } = entry;
    if (typeof source !== 'string') return constantsIn(entry, `${here}.`);
    const isAssumed = assumed === true || source.startsWith('assumed');
    return [{ path: here, value: formatConstant(here, value), isAssumed, source }];
  });
}

function formatConstant(path: string, value: unknown): string {
  if (Array.isArray(value))
    return value
      .map(([rows, rate]) => `${value.length > 1 ? `${plural(rows, 'row')} ` : ''}${formatFlops(rate)}`)
      .join(', ');
  if (typeof value !== 'number') return String(value);
  if (/(FlopsPerSecond|arithmetic)$/.test(path)) return formatFlops(value);
  if (path.endsWith('BytesPerSecond') || path.endsWith('bytesPerSecond')) return formatRate(value);
  if (path.endsWith('joulesPerByte')) return `${Number((value * 1e12).toPrecision(4))} pJ`;
  if (/(^|\.)(bytes|\w*Bytes)$/.test(path)) return formatBytes(value);
  return /[sS]econds(PerRow)?$/.test(path)
    ? `${Number((value * 1e6).toPrecision(4))} µs`
    : threeDigits(value);
}
