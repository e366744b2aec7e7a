import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative, sep } from 'node:path';
import { describe, expect, it } from 'vitest';
import { projectDirectory } from '../experiments/src/paths.js';

type Rooms = Readonly<Record<string, string>>;

/** The rooms of each package from the ground up: a room imports itself and those above it in this list, no other. */
const houses: Readonly<Record<string, Rooms>> = {
  engine: {
    extremes: 'largest and smallest of long lists',
    model: 'checkpoints and configurations, what they hold and how much of it',
    topology: 'memories and lanes by name, and the ways between them',
    trace: 'what happened when, on which lane',
    speculate: 'candidates: proposed, verified, accepted, and how often',
    machine: 'what a machine can do: lanes, memories, rates, devices',
    schedule: 'tasks and their order: policy, placement, strategies',
    run: 'tasks carried out, for real or on a virtual clock',
    plan: 'policies chosen by predicting them',
  },
  kernel: {
    errors: 'what a notebook command refuses',
    json: 'what JSON of strangers is before it is checked',
    packages: 'tslab and what it brings, found where it is installed',
    snapshot: 'a kernel that has started, kept to start the next from',
    display: 'tables, figures and progress in a cell',
    wire: 'the messages of Jupyter',
    notebook: 'notebook files, their parameters, their run',
    html: 'a notebook as a page',
    image: 'a notebook as pictures',
    install: 'the kernel made known to Jupyter',
    server: 'the process that Jupyter starts',
  },
  experiments: {
    paths: 'where the project keeps things',
    release: 'which lab this is',
    terminal: 'what people read: numbers with units, tables, lines of output, failures',
    inputs: 'what a job is made of: models, machines, caps, cores, prompts, sizes',
    store: 'records of runs: kept, read, asked',
    job: 'a run carried out and compared, and what else the machine did meanwhile',
    definitions: "experiments as data: axes, settings, expressions, an experiment's points",
    statistics: 'points of repeated runs, intervals, ratios, verdicts',
    acceptance: 'how often a draft is right: measured, replayed, chosen',
    accuracy: 'how far predictions are from what was measured',
    figures: 'pictures of records and traces',
    profile: 'the rates of this machine, measured and fitted',
    reproduce: "the paper's numbers, predicted and judged",
    tunnel: 'a big machine like this one, in ratios',
    plan: 'policies chosen for the machine at hand, and how certain that is',
    sweep: 'experiments carried out, and those that ship',
    queue: 'points of experiments carried to other machines, and what came of them back',
    'notebook-support': 'what the notebooks say and show',
    page: 'an experiment as a page',
    bench: "the lab's own speed",
    cli: 'the specoffload command',
  },
};

const mostLines = 350;

interface Source {
  /** Below the project, with slashes. */
  readonly path: string;
  readonly text: string;
}

function sourcesOf(packageName: string): Source[] {
  const folder = join(projectDirectory, packageName, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.c?ts$/.test(name))
    .map((name) => ({
      path: relative(projectDirectory, join(folder, name)).split(sep).join('/'),
      text: readFileSync(join(folder, name), 'utf8'),
    }));
}

/** What a package is entered by: its index, and the two lists of names that the engine's is made of. */
const doors = ['index', 'public', 'internals'];

/** The first folder below `src`, or the file's own name. */
function roomOf(path: string): string {
  return path.split('/')[2].replace(/\.[cm]?[jt]s$/, '');
}

function importsOf({ path, text }: Source): string[] {
  return [...text.matchAll(/(?:\bfrom|\bimport|\bimport\()\s*'(\.[^']+)'/g)].map(([, target]) =>
    normalize(join(dirname(path), target!)),
  );
}

/** Arrows between rooms that go up, or to a room that is not in the list: `sweep -> cli (sweep/shelf.ts)`. */
function arrowsUp(rooms: Rooms, sources: readonly Source[]): { arrow: string; path: string }[] {
  const floors = Object.keys(rooms);
  return sources
    .filter(({ path }) => !doors.includes(roomOf(path)))
    .flatMap((source) =>
      importsOf(source)
        .map((target) => [roomOf(source.path), roomOf(target)] as const)
        .filter(([from, to]) => !(floors.includes(to) && floors.indexOf(to) <= floors.indexOf(from)))
        .map(([from, to]) => ({ arrow: `${from} -> ${to}`, path: source.path })),
    );
}

describe.each(Object.entries(houses))('%s', (name, rooms) => {
  const sources = sourcesOf(name);

  it('has the rooms of the list and no others', () => {
    const found = new Set(sources.map(({ path }) => roomOf(path)).filter((room) => !doors.includes(room)));
    expect([...found].sort()).toEqual(Object.keys(rooms).sort());
  });

  it('names what it lets out', () => {
    const open = sources.filter(
      ({ path, text }) =>
        doors.includes(roomOf(path)) && /export \* from '\.\/(?!public|internals)/.test(text),
    );
    expect(open.map(({ path }) => path)).toEqual([]);
  });

  it('imports one way', () => {
    expect(arrowsUp(rooms, sources)).toEqual([]);
  });
});

/** What only devices' own files, and the list of devices, may know; the host lane computes as the processor does, whatever the device. */
const devicesOwn = {
  import: /\/machine\/(?:cpu-device|isolated|vulkan)/,
  word: /['"`](?:isolated|vulkan)['"`:]|\bkind [!=]==? ['"](?:cpu|isolated|vulkan)/,
};

/** Lines above the device contract that tell one device from another: `engine/src/run/a.ts: import …`. */
function tellingDevicesApart(sources: readonly Source[]): string[] {
  return sources
    .filter(({ path }) => roomOf(path) !== 'machine')
    .flatMap((source) => [
      ...importsOf(source)
        .filter((target) => devicesOwn.import.test(target))
        .map((target) => `${source.path}: ${target}`),
      ...source.text
        .split('\n')
        .filter((line) => devicesOwn.word.test(line))
        .map((line) => `${source.path}: ${line.trim()}`),
    ]);
}

it('leaves it to the device contract which device computes', () => {
  expect(tellingDevicesApart(sourcesOf('engine'))).toEqual([]);
  const telling = (text: string) => tellingDevicesApart([{ path: 'engine/src/run/a.ts', text }]).length;
  expect(telling("import { x } from '../machine/vulkan-queue.js';")).toBe(1);
  expect(telling("if (device.kind === 'cpu') return;")).toBe(1);
  expect(telling("const device = 'vulkan';")).toBe(1);
  expect(telling("import { x } from '../machine/devices.js';\nif (message.kind === 'native') return;")).toBe(
    0,
  );
});

it('keeps the tests of experiments in folders called after its rooms', () => {
  const folders = readdirSync(join(projectDirectory, 'test/experiments'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);
  expect(folders.filter((name) => !Object.hasOwn(houses.experiments!, name))).toEqual([]);
});

it('tells an arrow up and a room that is not in the list from one down', () => {
  const rooms = { ground: '', roof: '' };
  const source = (path: string, target: string) => ({ path, text: `import { x } from '${target}';` });
  expect(arrowsUp(rooms, [source('p/src/roof/a.ts', '../ground/b.js')])).toEqual([]);
  expect(arrowsUp(rooms, [source('p/src/ground/a.ts', '../roof/b.js')])).toHaveLength(1);
  expect(arrowsUp(rooms, [source('p/src/roof/a.ts', '../shed.js')])).toHaveLength(1);
});

it(`has files of at most ${mostLines} lines`, () => {
  const lengths = ['native', 'engine/input', 'engine', 'kernel', 'experiments']
    .flatMap(sourcesOf)
    .map(({ path, text }) => [path, text.split('\n').length - 1] as const);
  const long = lengths.filter(([, numLines]) => numLines > mostLines);
  expect(long).toEqual([]);
});
