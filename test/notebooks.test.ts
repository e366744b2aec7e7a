import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { projectDirectory } from '../experiments/src/paths.js';
import {
  type CodeCell,
  type Notebook,
  parseNotebook,
  readNotebook,
  runNotebook,
} from '../kernel/src/index.js';
import { KernelSession } from '../kernel/src/wire/session.js';

const folder = join(projectDirectory, 'notebooks');
const names = readdirSync(folder).filter(
  (name) => name.endsWith('.ipynb') && !name.endsWith('.executed.ipynb'),
);
const figureMime = 'application/vnd.plotly.v1+json';

const codeOf = ({ cells }: Notebook) => cells.filter((cell): cell is CodeCell => cell.cell_type === 'code');
const parametersOf = (notebook: Notebook) =>
  codeOf(notebook).filter(({ metadata }) => (metadata.tags as string[] | undefined)?.includes('parameters'));
const outputsOf = (notebook: Notebook) => codeOf(notebook).flatMap(({ outputs }) => outputs);
const numFigures = (notebook: Notebook) =>
  outputsOf(notebook).filter((output) => 'data' in output && figureMime in output.data).length;

it('there are notebooks, numbered in the order of reading', () => {
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) expect(name).toMatch(/^\d\d-[a-z0-9-]+\.ipynb$/);
});

describe.each(names)('%s', (name) => {
  let notebook: Notebook;
  let json: { nbformat: number; nbformat_minor: number; cells: { id?: string }[] };

  beforeAll(async () => {
    const text = await readFile(join(folder, name), 'utf8');
    notebook = parseNotebook(text, name);
    json = JSON.parse(text);
  });

  it('is nbformat 4.5 with an id for each cell, for our kernel', () => {
    expect([json.nbformat, json.nbformat_minor]).toEqual([4, 5]);
    const ids = json.cells.map(({ id }) => id);
    for (const id of ids) expect(id).toMatch(/^[\w-]{1,64}$/);
    expect(new Set(ids).size).toBe(ids.length);
    expect(notebook.metadata.kernelspec).toMatchObject({ name: 'specoffload', language: 'typescript' });
  });

  it('begins with a title and its question', () => {
    const [first] = notebook.cells;
    expect(first!.cell_type).toBe('markdown');
    expect(first!.source).toMatch(/^# \S/);
    expect(first!.source).toMatch(/^\*\*Question\.\*\* [^\n]*\?/m);
  });

  it('declares a quick form', () => {
    const parameters = parametersOf(notebook);
    expect(parameters).toHaveLength(1);
    expect(parameters[0].source).toMatch(/^let quick = false;/m);
  });

  it('holds no parameters of the run that it shows', () => {
    const tags = notebook.cells.flatMap(({ metadata }) => (metadata.tags as string[] | undefined) ?? []);
    expect(tags).not.toContain('injected-parameters');
    expect(codeOf(notebook).filter(({ source }) => source.startsWith('// Parameters of this run'))).toEqual(
      [],
    );
  });

  it('shows nothing that failed; where it shows anything, it is a whole run of the full form with figures', () => {
    const outputs = outputsOf(notebook);
    expect(outputs.filter(({ output_type }) => output_type === 'error')).toEqual([]);
    if (outputs.length === 0) return;
    expect(notebook.metadata.specoffload).toMatchObject({ status: 'completed' });
    expect(notebook.metadata.specoffload).not.toMatchObject({ parameters: { quick: true } });
    expect(numFigures(notebook)).toBeGreaterThan(0);
  });
});

it('no code but imports stands in two cells', async () => {
  const fewLines = 3;
  const placesOf = new Map<string, string[]>();
  for (const name of names)
    for (const [index, { source }] of codeOf(await readNotebook(join(folder, name))).entries()) {
      const lines = source.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('import '));
      const code = lines.join('\n');
      if (lines.length <= fewLines) continue;
      placesOf.set(code, [...(placesOf.get(code) ?? []), `${name}, code cell ${index + 1}`]);
    }
  expect([...placesOf.values()].filter((places) => places.length > 1)).toEqual([]);
});

describe('run in quick mode', () => {
  let results: string;
  /** One for all: each begins without what the ones before have declared. */
  let session: KernelSession;

  beforeAll(async () => {
    results = await mkdtemp(join(tmpdir(), 'notebooks-'));
    session = await KernelSession.start({ cwd: folder });
  });
  afterAll(async () => {
    await session.shutdown();
    await rm(results, { recursive: true });
  });

  it.each(names)(
    '%s ends without an error and draws figures',
    async (name) => {
      const path = join(folder, name);
      const [parameters] = parametersOf(await readNotebook(path));
      const wantsStore = /^let results\b/m.test(parameters!.source);
      const outcome = await runNotebook({
        path,
        session,
        parameters: { quick: true, ...(wantsStore && { results }) },
        totalTimeoutSeconds: 540,
      });
      expect(outcome.failure).toBeNull();
      expect(outcome.status).toBe('completed');
      expect(numFigures(outcome.notebook)).toBeGreaterThan(0);
    },
    600_000,
  );
});
