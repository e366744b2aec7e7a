import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  exportRows,
  filterRows,
  queryRows,
  type Row,
  storeRun,
  toRow,
} from '../../../experiments/src/store/index.js';
import { fakePrediction, fakeRecord } from '../fake-records.js';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'specoffload-query-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const injection = `x" double); drop table runs; --`;
const measured = fakeRecord({
  axes: { system: "it's", Batch: 8, mixed: 'text', acceptance: [0.8, 0.5] },
  settings: { [injection]: 7 },
  tokensPerSecond: 3,
});
const simulated = fakePrediction({
  axes: { system: 'New', batch: 16.5, mixed: 4 },
  tokensPerSecond: 6.25,
  run: { seed: 2 },
});
const rows = [toRow(measured), toRow(simulated)];

describe('queryRows', () => {
  it.each<[string, unknown[]]>([
    [
      'select kind, tokensPerSecond, acceptanceRate, nearTies, createdAt from runs order by tokensPerSecond',
      [
        {
          ...{ kind: 'measured', tokensPerSecond: 3, acceptanceRate: 0.5, nearTies: 0 },
          createdAt: '2026-01-31T12:00:00.000Z',
        },
        {
          ...{ kind: 'simulated', tokensPerSecond: 6.25, acceptanceRate: 0.5, nearTies: null },
          createdAt: '2026-01-31T12:00:00.000Z',
        },
      ],
    ],
    [
      'select count(*) as n, sum(seed) as seeds, avg(seconds) as mean from runs',
      [{ n: 2, seeds: 2, mean: 2 }],
    ],
    // One name in two spellings, which SQL takes for the same.
    [
      'select "Batch", batch_2, mixed, acceptance from runs order by tokensPerSecond',
      [
        { Batch: 8, batch_2: null, mixed: 'text', acceptance: '[0.8,0.5]' },
        { Batch: null, batch_2: 16.5, mixed: '4', acceptance: null },
      ],
    ],
    [`select "${injection.replaceAll('"', '""')}" as x from runs`, [{ x: 7 }, { x: null }]],
    ['select list(strategy) as l from runs', [{ l: ['serial', 'serial'] }]],
    ["select createdAt > '2026-01-01' as late from runs limit 1", [{ late: true }]],
    ['from runs select count(*) as n', [{ n: 2 }]],
    ['select system from runs where false', []],
  ])('%s', async (sql, answer) => {
    expect(await queryRows(rows, sql)).toEqual(answer);
  });

  it('answers of an empty store', async () => {
    expect(await queryRows([], 'select count(*) as n, max(tokensPerSecond) as most from runs')).toEqual([
      { n: 0, most: null },
    ]);
  });

  it('takes more rows than one vector holds', async () => {
    const many: Row[] = Array.from({ length: 5000 }, (_, i) => ({ ...rows[0], repeat: i }));
    expect(await queryRows(many, 'select count(*) as n, sum(repeat) as s from runs')).toEqual([
      { n: 5000, s: (4999 * 5000) / 2 },
    ]);
  });

  it.each([
    ['select nonsense from runs', 'invalid query: Binder Error: Referenced column "nonsense" not found'],
    ['select', 'invalid query: Parser Error'],
    ['select 1; select 2', 'Cannot prepare multiple statements at once'],
    ['from other', 'Table with name other does not exist'],
    ["select * from read_csv('/etc/hostname')", 'file system operations are disabled'],
    ["copy runs to 'stolen.csv'", 'file system operations are disabled'],
    ["attach 'mine.db'", 'file system operations are disabled'],
    ['set enable_external_access = true', 'the configuration has been locked'],
    ['install httpfs', 'file system operations are disabled'],
  ])('refuses %s', async (sql, message) => {
    await expect(queryRows(rows, sql)).rejects.toThrow(message);
  });

  it.each([0, 1, 100])('stops when told to, after %d ms', async (delayMs) => {
    const reason = new Error('stop');
    const controller = new AbortController();
    setTimeout(() => controller.abort(reason), delayMs);
    const endless = 'select count(*) from range(1000000000) a, range(1000000000) b, runs';
    await expect(queryRows(rows, endless, controller.signal)).rejects.toBe(reason);
  });
});

describe('filterRows', () => {
  it.each<[string, number[]]>([
    ["kind = 'simulated'", [1]],
    ["system = 'it''s'", [0]],
    ['tokensPerSecond >= 3', [0, 1]],
    ['nearTies is null', [1]],
    ['true', [0, 1]],
    ['seconds > 9 -- nothing', []],
  ])('%s', async (condition, indices) => {
    expect(await filterRows(rows, condition)).toEqual(indices.map((index) => rows[index]));
  });

  it.each([
    ['kind = simulated', 'invalid condition: Binder Error: Referenced column "simulated" not found'],
    ['', 'invalid condition: Parser Error'],
    ['true); drop table runs; select (true', 'Cannot prepare multiple statements'],
  ])('refuses %s', async (condition, message) => {
    await expect(filterRows(rows, condition)).rejects.toThrow(message);
  });
});

/** What another reader of the file sees. */
async function readBack(source: string): Promise<Record<string, unknown>[]> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  const reader = await connection.runAndReadAll(`from ${source}`);
  return reader.getRowObjectsJson();
}

describe('exportRows', () => {
  it('writes Parquet with every cell of every row, each in its type', async () => {
    const path = join(directory, "it's.parquet");
    await exportRows(rows, path);
    const back = await readBack(`read_parquet('${path.replaceAll("'", "''")}')`);
    for (const [index, row] of rows.entries()) {
      for (const [name, value] of Object.entries(row)) {
        if (name === 'createdAt' || name === 'batch' || name === 'mixed' || Array.isArray(value)) continue;
        // JSON has 64-bit integers as text.
        expect(String(back[index][name]), name).toBe(String(value));
      }
      expect(back[index]).toMatchObject({ createdAt: '2026-01-31 12:00:00' });
    }
    expect(back[0]).toMatchObject({ acceptance: '[0.8,0.5]', tokensPerSecond: 3, isDisturbed: false });
    expect(back[1]).toMatchObject({ batch_2: 16.5, mixed: '4', isDisturbed: null });
    expect(await readdir(directory)).toEqual(["it's.parquet"]);
  });

  it('writes CSV with a header', async () => {
    const path = join(directory, 'runs.csv');
    await exportRows(rows, path);
    const [header, first] = (await readFile(path, 'utf8')).split('\n');
    expect(header).toMatch(/^key,experiment,kind,pointKey,seed,repeat,createdAt,strategy,/);
    expect(first).toContain("it's");
    expect(await readBack(`read_csv('${path}')`)).toHaveLength(2);
  });

  it('replaces what was there, and leaves it there when it fails', async () => {
    const path = join(directory, 'runs.csv');
    await writeFile(path, 'old');
    await expect(exportRows(rows, join(directory, 'none', 'runs.csv'))).rejects.toThrow('cannot write');
    await expect(exportRows(rows, join(path, 'runs.csv'))).rejects.toThrow('cannot write');
    expect(await readFile(path, 'utf8')).toBe('old');
    await exportRows(rows, path);
    expect(await readFile(path, 'utf8')).not.toBe('old');
    expect(await readdir(directory)).toEqual(['runs.csv']);
  });

  it.each(['runs', 'runs.json', '.csv', 'runs.CSV'])('refuses %s', async (path) => {
    await expect(exportRows(rows, path)).rejects.toThrow(`invalid --out: ${path}; expected a file name`);
  });
});

describe('run.json', () => {
  it('is read by DuckDB itself too, measured and simulated ones together', async () => {
    for (const record of [measured, simulated])
      await storeRun(directory, 'test', { recordOf: () => record, trace: null, tokens: null });
    const back = await readBack(`(
      select kind, result.tokensPerSecond as speed, workload.prompts as prompts, point.axes->>'system' as system
      from read_json('${directory}/*/*/run.json', columns = {
        kind: 'VARCHAR', result: 'STRUCT(tokensPerSecond DOUBLE)', workload: 'STRUCT(prompts BIGINT)',
        point: 'STRUCT(axes JSON)'
      }) order by kind)`);
    expect(back).toEqual([
      { kind: 'measured', speed: 3, prompts: '2', system: "it's" },
      { kind: 'simulated', speed: 6.25, prompts: '2', system: 'New' },
    ]);
  });
});
