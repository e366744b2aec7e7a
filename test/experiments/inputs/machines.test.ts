/** The library of machines: parts that fit, rates below what data sheets say, and predictions within physical bounds. */

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  computeLane,
  flattenMachine,
  machineFileSchema,
  parseMachineModel,
  planRun,
  transferLane,
  withBudgets,
} from '@specoffload/engine';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { composeMachine, readParts } from '../../../experiments/src/inputs/machine-parts.js';
import { openMachine } from '../../../experiments/src/inputs/machines.js';
import { openOrDescribeModel } from '../../../experiments/src/inputs/models.js';
import {
  parseBytes,
  parseBytesPerSecond,
  parseFlopsPerSecond,
} from '../../../experiments/src/inputs/sizes.js';
import { projectDirectory } from '../../../experiments/src/paths.js';
import { callCli } from '../cli.js';

const parts = await readParts();
const gpus = Object.keys(parts.gpu);

it.each([
  ['env1', 'rtx-4090+pcie3+ddr4-quad+nvme3'],
  ['env2', 'rtx-4090+pcie4+ddr4-octa+nvme3'],
])('%s is what its own parts make, which say what they draw besides', async (name, composed) => {
  const [whole, made] = [await openMachine(name), await openMachine(composed)];
  const lanes = made.lanes.map((lane) => ({ ...lane, power: undefined, clock: undefined }));
  const memories = made.memories.map((memory) => ({ ...memory, idleWatts: undefined }));
  expect({ ...made, lanes, memories, name: whole.name, description: whole.description }).toEqual(whole);
  for (const { power } of made.lanes) expect(power).toBeDefined();
});

describe.each(gpus)('%s', (gpu) => {
  it('reaches no more than its data sheets say, and not much less than half of it', async () => {
    const { device, link, disk, host, memory, name } = flattenMachine(await openMachine(gpu));
    const [, linkName, hostName, diskName] = name.split('+') as [string, string, string, string];
    const part = parts.gpu[gpu];
    const rate = (text: string | undefined) => parseBytesPerSecond('rate', text!);
    const flops = parseFlopsPerSecond('flops', part.flops!.value);
    const shares = [
      device.arithmetic[0][1] / flops,
      device.memoryBytesPerSecond / rate(part.memory!.value),
      link.bytesPerSecond / rate(parts.link[linkName].rate!.value),
      disk.bytesPerSecond / rate(parts.disk[diskName].rate!.value),
    ];
    for (const share of shares) {
      expect(share).toBeGreaterThan(0.5);
      expect(share).toBeLessThanOrEqual(1);
    }
    expect(link.pageableBytesPerSecond).toBeLessThanOrEqual(link.bytesPerSecond);
    expect(host.cacheBytesPerSecond).toBeLessThan(rate(parts.host[hostName].memory!.value) / 2);
    expect(memory.deviceBytes).toBe(parseBytes('bytes', part.bytes!.value));
  });

  it('is planned for between what the link carries and what a machine without waits would do', async () => {
    const machine = await openMachine(gpu);
    const target = await openOrDescribeModel('llama-3.1-8b');
    const plan = await planRun({
      ...{ target, draft: null, acceptance: null, strategies: ['none'], mostSimulations: 3, numSeeds: 1 },
      machine: withBudgets(machine, { deviceBytes: 8e9 }),
      promptLengths: new Array<number>(16).fill(64),
      maxNewTokens: 8,
    });
    const { seconds, bytesMoved, passes, tokensPerSecond } = plan.ranked[0].outcome;
    const linkSeconds = bytesMoved.link / transferLane(machine, 'link').bytesPerSecond;
    expect(seconds).toBeGreaterThanOrEqual(linkSeconds);
    // Not everything fits beside what a pass needs, so every pass moves something.
    expect(bytesMoved.link / passes).toBeGreaterThan(target.bytes / 4);
    const weights = target.bytes / computeLane(machine, 'device').memoryBytesPerSecond;
    expect(seconds).toBeGreaterThanOrEqual(passes * weights);
    expect(tokensPerSecond).toBeGreaterThan(0.1 * ((16 * 8) / (linkSeconds + passes * weights)));
  });
});

it('needs less time behind a faster link, and says what is assumed', async () => {
  const rates = await Promise.all(
    ['pcie3', 'pcie4', 'pcie5'].map(
      async (link) => transferLane(await openMachine(`rtx-5090+${link}`), 'link').bytesPerSecond,
    ),
  );
  expect(rates).toEqual([11.56e9, 26e9, 52e9]);
  const { lanes } = await composeMachine('rtx-5090');
  const [, link, , device] = lanes as unknown as Record<string, { assumed?: true }>[];
  expect(
    [device!.arithmetic!, device!.memoryBytesPerSecond!, link!.bytesPerSecond!].map(({ assumed }) => assumed),
  ).toEqual([true, undefined, true]);
});

it.each([
  [
    'rtx-4090+nothing',
    'unknown machine: rtx-4090+nothing; expected env1, env2, the path of a machine file, or parts',
  ],
  ['constructor', 'unknown machine: constructor'],
  ['rtx-4090+pcie3+pcie4', 'it has two of link: pcie3 and pcie4'],
  ['pcie3+nvme4', 'expected a GPU among its parts: rtx-3090'],
  ['rtx-3090+pcie5', 'rtx-3090 has pcie3 or pcie4, not pcie5'],
  ['isaac+pcie3', 'expected a GPU among its parts: rtx-3090'],
])('%s is refused', async (name, message) => {
  await expect(openMachine(name)).rejects.toThrow(message);
});

describe('specoffload machines', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'specoffload-machines-'));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it('lists whole machines and parts', async () => {
    const { stdout } = await callCli(['machines', 'list', '--json']);
    expect(JSON.parse(stdout).whole).toEqual([
      'a10-apex',
      'a10-hetegen',
      'env1',
      'env2',
      'jetson-agx-orin-32gb',
      't4-apex',
    ]);
    expect(Object.keys(JSON.parse(stdout).parts.gpu)).toEqual(gpus);
  });

  it('shows constants and writes a file that predicts the same', async () => {
    const out = join(folder, 'mine.json');
    const { stdout } = await callCli(['machines', 'show', 'h100-sxm+nvme5', '--out', out]);
    expect(stdout).toMatch(/link\.bytesPerSecond +52\.0 GB\/s +yes +63\.02GB\/s/);
    expect(await openMachine(out)).toEqual(await openMachine('h100-sxm+nvme5'));
  });

  it.each<[string, (file: { lanes: (object | null)[]; name: unknown }) => void, string]>([
    ['a lane that is none', (file) => file.lanes.unshift(null), 'invalid'],
    ['a lane without a name', (file) => file.lanes.push({}), 'invalid'],
    [
      'rates that are none',
      (file) => Object.assign(file.lanes[3]!, { arithmetic: { value: [1e9] } }),
      'expected',
    ],
    ['no name', (file) => Object.assign(file, { name: 7 }), 'invalid name: 7'],
  ])('shows no file with %s, on which nothing could be predicted', async (_, change, message) => {
    const path = join(folder, 'broken.json');
    const file = JSON.parse(await readFile(join(projectDirectory, 'experiments/machines/env1.json'), 'utf8'));
    change(file);
    await writeFile(path, JSON.stringify(file));
    const { exitCode, stdout, stderr } = await callCli(['machines', 'show', path]);
    expect(stderr).toContain(message);
    expect([exitCode, stdout]).toEqual([1, '']);
  });
});

describe('docs/machine.schema.json', () => {
  const read = async (path: string) => JSON.parse(await readFile(join(projectDirectory, path), 'utf8'));
  let schema: Schema;
  beforeAll(async () => {
    schema = await read('docs/machine.schema.json');
  });

  it('is what the lab checks', () => {
    const again = `npm run format, after: node -e "import('@specoffload/engine').then((e) => fs.writeFileSync('docs/machine.schema.json', JSON.stringify(e.machineFileSchema())))"`;
    expect(schema, `this writes it again: ${again}`).toEqual(machineFileSchema());
  });

  it.each(['env1', 'env2', 'rtx-3090', 'rtx-4090+isaac', 'radeon-780m+hermes'])(
    'describes %s',
    async (name) => {
      const machine = name.startsWith('env')
        ? await read(`experiments/machines/${name}.json`)
        : await composeMachine(name);
      expect(misfits(schema, machine)).toEqual([]);
    },
  );

  it('describes the example of the docs, which is one that the lab reads', async () => {
    const page = await readFile(join(projectDirectory, 'docs/own-machines.md'), 'utf8');
    const example: unknown = JSON.parse(/```json\n(\{[\s\S]*?\})\n```/.exec(page)![1]);
    expect(misfits(schema, example)).toEqual([]);
    expect(parseMachineModel(example, 'docs').lanes).toHaveLength(4);
  });

  it('refuses what a machine file refuses', async () => {
    const machine = await composeMachine('rtx-3090');
    const [disk, link, ...lanes] = machine.lanes;
    expect(misfits(schema, { ...machine, lanes: [disk, { ...link, bytesPerSeconds: 1 }, ...lanes] })).toEqual(
      ['lanes.1'],
    );
    const { memories: _memories, ...rest } = machine;
    expect(misfits(schema, rest)).toEqual(['memories']);
    expect(misfits(schema, { ...machine, memories: [{ name: 'disk' }] })).toEqual(['memories.0.bytes']);
    expect(misfits(schema, { ...machine, memories: [{ name: 'disk', bytes: 5 }] })).toEqual([
      'memories.0.bytes',
    ]);
  });
});

type Schema = Readonly<Record<string, unknown>>;

function fits(
  value: unknown,
  type: unknown,
  { minimum = Number.NEGATIVE_INFINITY, maximum = Number.POSITIVE_INFINITY }: Schema,
): boolean {
  if (typeof value !== 'number') return typeof value === type;
  return (
    (type === 'number' || type === 'integer') && (minimum as number) <= value && value <= (maximum as number)
  );
}

/** Paths at which a value is not what the schema says; of JSON Schema what the file uses. */
function misfits(root: Schema, value: unknown, schema: Schema = root, path = ''): string[] {
  const at = (name: string | number) => (path === '' ? `${name}` : `${path}.${name}`);
  const {
    $ref,
    anyOf,
    type,
    enum: words,
    required = [],
    properties = {},
    items,
    prefixItems = [],
    additionalProperties,
  } = schema;
  if (typeof $ref === 'string')
    return misfits(root, value, (root.$defs as Record<string, Schema>)[$ref.slice('#/$defs/'.length)], path);
  if (anyOf)
    return (anyOf as Schema[]).some((one) => misfits(root, value, one, path).length === 0) ? [] : [path];
  if (words) return (words as unknown[]).includes(value) ? [] : [path];
  if (type === 'array')
    return Array.isArray(value)
      ? value.flatMap((item, i) =>
          misfits(root, item, (prefixItems as Schema[])[i] ?? (items as Schema), at(i)),
        )
      : [path];
  if (type !== 'object') return [type].flat().some((one) => fits(value, one, schema)) ? [] : [path];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  const known = properties as Record<string, Schema>;
  return [
    ...(required as string[]).filter((name) => !(name in value)).map(at),
    ...Object.entries(value).flatMap(([name, entry]) => {
      const inner = known[name] ?? additionalProperties;
      return inner ? misfits(root, entry, inner as Schema, at(name)) : [at(name)];
    }),
  ];
}
