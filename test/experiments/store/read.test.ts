import { execFileSync } from 'node:child_process';
import { chmod, cp, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  findRun,
  type ReadRequest,
  type RunRecord,
  readRows,
  readRuns,
  storeRun,
  toRows,
} from '../../../experiments/src/store/index.js';
import { fakePrediction, fakeRecord } from '../fake-records.js';

let results: string;
beforeEach(async () => {
  results = await mkdtemp(join(tmpdir(), 'specoffload-read-'));
});
afterEach(async () => {
  await rm(results, { recursive: true, force: true });
});

const store = (record: RunRecord, experiment = 'test') =>
  storeRun(results, experiment, { recordOf: () => record, trace: null, tokens: null });

async function read(request: Partial<ReadRequest> = {}) {
  const warnings: string[] = [];
  const runs = await readRuns({ results, onWarning: (sentence) => warnings.push(sentence), ...request });
  return { runs, warnings };
}

const created = (createdAt: string, tokensPerSecond: number) => ({
  ...fakeRecord({ axes: {}, tokensPerSecond, run: { seed: tokensPerSecond } }),
  createdAt,
});

describe('readRuns', () => {
  it('reads what was stored, oldest first', async () => {
    const late = await store(created('2026-03-01T00:00:00.000Z', 1), 'a');
    const early = await store(created('2026-01-01T00:00:00.000Z', 2), 'b');
    expect(await read()).toEqual({ runs: [early, late], warnings: [] });
  });

  it('reads one experiment, or one kind', async () => {
    const measured = await store(fakeRecord({ axes: {}, tokensPerSecond: 1 }), 'a');
    const simulated = await store(fakePrediction({ axes: {}, tokensPerSecond: 1, run: { seed: 2 } }), 'b');
    expect((await read({ experiment: 'a' })).runs).toEqual([measured]);
    expect((await read({ experiment: '../b' })).runs).toEqual([]);
    expect((await read({ kind: 'simulated' })).runs).toEqual([simulated]);
  });

  it('finds nothing in a store that does not exist yet', async () => {
    expect(await read({ results: join(results, 'none') })).toEqual({ runs: [], warnings: [] });
  });

  it('refuses a store that is a file', async () => {
    const path = join(results, 'file');
    await writeFile(path, '');
    await expect(read({ results: path })).rejects.toThrow('is no directory; choose another --results');
  });

  it('passes over half-written folders, hidden ones, files, and stores below', async () => {
    const stored = await store(fakeRecord({ axes: {}, tokensPerSecond: 1 }));
    await cp(stored.folder, join(results, '.writing-1-aaaa'), { recursive: true });
    await cp(stored.folder, join(results, 'test', '.hidden'), { recursive: true });
    await mkdir(join(results, 'reference', 'test'), { recursive: true });
    await cp(stored.folder, join(results, 'reference', 'test', stored.record.key), { recursive: true });
    await writeFile(join(results, 'test', 'notes.json'), '{}');
    expect(await read()).toEqual({ runs: [stored], warnings: [] });
    expect((await read({ results: join(results, 'reference') })).runs).toHaveLength(1);
  });

  it('follows links to folders, and passes over those that lead nowhere or in a circle', async () => {
    const stored = await store(fakeRecord({ axes: {}, tokensPerSecond: 1 }), 'elsewhere');
    await rename(join(results, 'elsewhere'), `${results}-elsewhere`);
    await symlink(`${results}-elsewhere`, join(results, 'linked'));
    await symlink('circle', join(results, 'circle'));
    await symlink('nowhere', join(results, 'dangling'));
    const folder = join(results, 'linked', stored.record.key);
    expect(await read()).toEqual({ runs: [{ ...stored, folder }], warnings: [] });
    expect(findRun(results, stored.record.key).folder).toBe(folder);
    await rm(`${results}-elsewhere`, { recursive: true });
  });

  it('finds a run once, though two names lead to it', async () => {
    const stored = await store(fakeRecord({ axes: {}, tokensPerSecond: 1 }), 'test');
    await symlink('test', join(results, 'alias'));
    expect((await read()).runs).toEqual([stored]);
    expect(findRun(results, stored.record.key)).toEqual(stored);
    expect((await read({ experiment: 'alias' })).runs).toHaveLength(1);
  });

  it.each<[string, (path: string) => unknown, string]>([
    ['a pipe', (path) => execFileSync('mkfifo', [path]), 'is not a regular file'],
    ['a circle of links', (path) => symlink('run.json', path), 'its links lead in a circle'],
    ['lists in lists', (path) => writeFile(path, `{"deep": ${'['.repeat(1e5)}`), 'more than 100 deep'],
    ['bytes that are no text', (path) => writeFile(path, Buffer.from([0xff])), 'is not UTF-8'],
    ['far too much', (path) => writeFile(path, Buffer.alloc(5_000_000)), 'expected at most'],
  ])('names a record that is %s, and reads the rest', async (_what, make, warning) => {
    const good = await store(fakeRecord({ axes: {}, tokensPerSecond: 1 }));
    await mkdir(join(results, 'test', 'a'.repeat(32)));
    await make(join(results, 'test', 'a'.repeat(32), 'run.json'));
    expect(await read()).toEqual({ runs: [good], warnings: [expect.stringContaining(warning)] });
  });

  const [a, b, c] = ['a'.repeat(32), 'b'.repeat(32), 'c'.repeat(32)];
  it.each<[string, string, string | null, string]>([
    ['an empty folder', a, null, `test/${a}: no run.json in it; remove the folder`],
    ['half a file', a, '{ "schema": 1,', `test/${a}/run.json is not valid JSON`],
    ['an empty file', a, '', 'is not valid JSON'],
    ["a stranger's file", b, '{ "name": "x" }', `test/${b}/run.json: invalid schema: missing; expected 1`],
    ['no object', b, '[]', `test/${b}/run.json: invalid record: []; expected an object`],
    ['null', b, 'null', 'invalid record: null; expected an object'],
    ['a newer schema', b, '{ "schema": 9 }', 'schema 9 is newer than this version reads (1); update'],
    ['a folder of another name', c, 'record', "expected its folder's name, so it was moved or edited"],
    ['a copy', 'copy', 'record', "expected its folder's name, so it was moved or edited"],
  ])('names %s in a warning and reads the rest', async (_title, name, content, warning) => {
    const good = await store(fakeRecord({ axes: {}, tokensPerSecond: 1 }));
    await mkdir(join(results, 'test', name));
    if (content !== null)
      await writeFile(
        join(results, 'test', name, 'run.json'),
        content === 'record' ? JSON.stringify(good.record) : content,
      );
    const { runs, warnings } = await read();
    expect(runs).toEqual([good]);
    expect(warnings).toEqual([expect.stringContaining(warning)]);
  });

  it('names a record that is a directory', async () => {
    await mkdir(join(results, 'test', a, 'run.json'), { recursive: true });
    expect(await read()).toEqual({
      runs: [],
      warnings: [expect.stringContaining('run.json is not a regular file')],
    });
  });

  it.skipIf(process.getuid?.() === 0)('says so when it may not read the store', async () => {
    await chmod(results, 0o000);
    await expect(read()).rejects.toThrow('cannot read');
    await chmod(results, 0o700);
  });

  it('stops when told to', async () => {
    for (let seed = 0; seed < 260; seed += 1)
      await mkdir(join(results, 'test', seed.toString(16).padStart(32, '0')), { recursive: true });
    const reason = new Error('stop');
    await expect(read({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });
});

describe('readRows', () => {
  it('gives the rows of all records, oldest first, each with its folder as its experiment', async () => {
    await store(created('2026-03-01T00:00:00.000Z', 1), 'late');
    await store(created('2026-01-01T00:00:00.000Z', 2), 'early');
    const rows = await readRows({ results });
    expect(rows).toEqual(toRows(await readRuns({ results })));
    expect(rows.map(({ experiment }) => experiment)).toEqual(['early', 'late']);
  });
});

describe('findRun', () => {
  it('finds a run by any unambiguous beginning of its key', async () => {
    const run = await store(fakeRecord({ axes: {}, tokensPerSecond: 1 }));
    for (const length of [1, 8, 32]) expect(findRun(results, run.record.key.slice(0, length))).toEqual(run);
  });

  it('tells the same run of two experiments apart by the experiment', async () => {
    const record = fakeRecord({ axes: {}, tokensPerSecond: 1 });
    const [a, b] = [await store(record, 'a'), await store(record, 'b')];
    expect(() => findRun(results, record.key)).toThrow(
      `${record.key} may be a/${record.key}, b/${record.key}; type more of the key, or experiment/key`,
    );
    expect(findRun(results, `a/${record.key}`)).toEqual(a);
    expect(findRun(results, `b/${record.key.slice(0, 4)}`)).toEqual(b);
  });
});
