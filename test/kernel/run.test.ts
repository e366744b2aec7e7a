import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Notebook, parseNotebook } from '../../kernel/src/notebook/format.js';
import { runNotebook } from '../../kernel/src/notebook/run.js';
import { requireFromKernel } from '../../kernel/src/packages.js';
import { KernelSession } from '../../kernel/src/wire/session.js';
import { type CliResult, callCli, type Disturbance, runCli } from '../experiments/cli.js';
import { type TestCell, writeNotebook } from './notebooks.js';

let folder: string;
/** For notebooks whose kernel is not what is asked about, and that leave nothing behind. */
let session: KernelSession;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-run-'));
  session = await KernelSession.start({ cwd: folder });
});
afterAll(async () => {
  await session.shutdown();
  await rm(folder, { recursive: true, force: true });
});

interface RunResult extends CliResult {
  readonly executed: Notebook;
  readonly document: { readonly status: string; readonly cells: readonly { readonly status: string }[] };
}

/** Runs a notebook by the command, in a process of its own where that is asked for, and reads what was written. */
async function runCells(
  cells: readonly (TestCell | string)[],
  flags: readonly string[] = [],
  run: (args: readonly string[]) => Promise<CliResult> = callCli,
): Promise<RunResult> {
  const path = await writeNotebook(folder, 'cells.ipynb', cells);
  const result = await run(['notebook', 'run', path, '--json', ...flags]);
  const executed = parseNotebook(await readFile(join(folder, 'cells.executed.ipynb'), 'utf8'), 'executed');
  return { ...result, executed, document: JSON.parse(result.stdout) };
}

function outputsOf({ executed }: RunResult): unknown[] {
  return executed.cells.map((cell) =>
    cell.cell_type === 'code'
      ? cell.outputs.map((output) =>
          'text' in output
            ? output.text
            : 'data' in output
              ? output.data['text/plain']
              : `${output.ename}: ${output.evalue}`,
        )
      : null,
  );
}

const parameters: TestCell = {
  code: 'const quick = false, sizes = [1, 2], name = "a";',
  tags: ['parameters'],
};

describe('notebook run', () => {
  it('runs all cells with the parameters, and writes what they were and how long they took', async () => {
    const cells = [{ text: '# Title' }, parameters, '[quick, sizes, name]', '  ', 'console.log(1); 2'];
    const result = await runCells(
      cells,
      ['-p', 'sizes=[3]', '-p', 'name=b c', '--quick', '--html', join(folder, 'page.html')],
      runCli,
    );
    expect(result.stderr).toContain('cell 4 of 4: completed');
    expect(result.exitCode).toBe(0);
    expect(result.document).toMatchObject({ status: 'completed', failure: null });
    expect(outputsOf(result)).toEqual([null, [], [], ["[ true, [ 3 ], 'b c' ]"], [], ['1\n', '2']]);
    const { metadata } = result.executed;
    expect(metadata.specoffload).toMatchObject({
      status: 'completed',
      parameters: { sizes: [3], name: 'b c', quick: true },
      versions: { node: process.versions.node, tslab: '1.0.22', typescript: '5.0.4' },
    });
    expect(metadata.kernelspec).toMatchObject({ name: 'specoffload', language: 'typescript' });
    const cell = result.executed.cells[5];
    expect(cell.metadata.specoffload).toMatchObject({ status: 'completed', seconds: expect.any(Number) });
    expect(cell.metadata.execution).toMatchObject({ 'iopub.status.busy': expect.any(String) });
    expect(await readFile(join(folder, 'page.html'), 'utf8')).toContain('<h1>Title</h1>');
  });

  it('stops at the first cell that fails, with its source and what was wrong', async () => {
    const result = await runCells(['1', 'const one = 1;\nthrow new RangeError("no " + one);', '3']);
    expect(result.exitCode).toBe(1);
    expect(result.stderr).toContain('   2 │ throw new RangeError("no " + one);');
    expect(result.stderr).toContain('RangeError: no 1\n    at cell:');
    expect(result.stderr).toMatch(
      /specoffload: cell 2 failed: RangeError: no 1; what was executed is in \S+\n$/,
    );
    expect(outputsOf(result)).toEqual([['1'], ['RangeError: no 1'], []]);
    expect(result.executed.metadata.specoffload).toMatchObject({ status: 'failed' });
    expect(result.executed.cells.map(({ metadata }) => metadata.specoffload)).toMatchObject([
      { status: 'completed' },
      { status: 'failed' },
      { status: 'pending' },
    ]);
  });

  const endings: readonly (readonly [
    what: string,
    code: string,
    flags: readonly string[],
    message: string,
  ])[] = [
    [
      'ends the kernel',
      'process.kill(process.pid, "SIGKILL"); while (true);',
      [],
      'the kernel ended (signal SIGKILL)',
    ],
    ['computes for ever', 'while (true);', ['--timeout', '3'], 'the notebook ran longer than 3 s; what'],
    [
      'lets nobody interrupt it',
      'import { execSync } from "child_process"; execSync("sleep 60");',
      ['--cell-timeout', '2'],
      'it did not let itself be interrupted, so the kernel was ended',
    ],
  ];
  it.each(endings)(
    'says so when a cell %s, and saves what was executed',
    async (_what, code, flags, message) => {
      const result = await runCells(['"before"', code, '"after"'], flags);
      expect(result.stderr).toContain(message);
      expect(result.exitCode).toBe(1);
      const [before, failed, after] = outputsOf(result) as string[][];
      expect(before).toEqual(['before']);
      expect(failed!.length).toBeGreaterThan(0);
      expect(after).toEqual([]);
    },
  );

  it.each([
    ['has a type error', 'const x: number = "a";', "1:7 - Type 'string' is not assignable to type 'number'."],
    ['imports what is not there', 'import "a"; import b from "missing";', "Cannot find module 'missing'"],
  ])('says so when a cell %s, and saves the cells before it', async (_what, code, message) => {
    const path = await writeNotebook(folder, 'wrong-code.ipynb', ['"before"', code, '"after"']);
    const out = join(folder, 'wrong-code.out.ipynb');
    const { status, failure } = await runNotebook({ path, session, out });
    expect({ status, failure }).toMatchObject({
      status: 'failed',
      failure: { cell: 2, kind: 'error', ename: 'TypeScriptError', evalue: expect.stringContaining(message) },
    });
    const { cells } = parseNotebook(await readFile(out, 'utf8'), 'executed');
    expect(cells).toMatchObject([
      { outputs: [{ data: { 'text/plain': 'before' } }] },
      { outputs: [{ output_type: 'error', evalue: expect.stringContaining(message) }] },
      { outputs: [] },
    ]);
  });

  it('saves what was executed when it is interrupted, and ends with exit code 130', async () => {
    const interruption: Disturbance = {
      onStderr: 'cell 1 of 2: completed',
      delayMs: 200,
      do: (kill) => kill('SIGINT'),
    };
    const cells = ['"before"', 'await new Promise(() => setInterval(() => {}, 1000))'];
    const result = await runCells(cells, [], (args) => runCli(args, interruption));
    expect(result.exitCode).toBe(130);
    expect(result.stderr).toContain('interrupted');
    expect(outputsOf(result)).toEqual([['before'], ['Interrupted: the run was interrupted']]);
  });

  it('ends a cell that prints for ever at its limit, and saves what was executed', async () => {
    const path = await writeNotebook(folder, 'prints.ipynb', [
      '"before"',
      'while (true) console.log("x".repeat(1000));',
      '"after"',
    ]);
    const out = join(folder, 'prints.out.ipynb');
    const { failure } = await runNotebook({ path, session, out, cellTimeoutSeconds: 0.5 });
    expect(failure).toMatchObject({ cell: 2, evalue: 'the cell ran longer than 0.5 s' });
    expect(parseNotebook(await readFile(out, 'utf8'), 'executed').cells).toMatchObject([
      { outputs: [{ data: { 'text/plain': 'before' } }] },
      { outputs: expect.arrayContaining([expect.objectContaining({ output_type: 'error' })]) },
      { outputs: [] },
    ]);
  });

  it('keeps the beginning of 100 MB, and little of it in memory', async () => {
    const path = await writeNotebook(folder, 'much.ipynb', [
      'for (let line = 0; line < 100_000; line++) console.log("x".repeat(999));',
      'console.log("still here")',
    ]);
    const before = process.memoryUsage().rss;
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss - before);
    }, 20);
    const { status, notebook } = await runNotebook({ path, session });
    clearInterval(watch);
    expect(status).toBe('completed');
    const [printed, still] = notebook.cells.map((cell) => (cell.cell_type === 'code' ? cell.outputs : []));
    expect(printed).toHaveLength(1);
    const { text } = printed![0] as { text: string };
    expect(text.length).toBeLessThan(1_001_000);
    expect(text).toMatch(/\[cut: stdout had 100,000,000 characters, the first 1,000,000 are kept\]\n$/);
    expect(still).toMatchObject([{ text: 'still here\n' }]);
    expect(most).toBeLessThan(150e6);
  });

  it('in place leaves no parameters of the run among the cells', async () => {
    const path = await writeNotebook(folder, 'own.ipynb', [parameters, 'quick']);
    const outcome = await runNotebook({ path, session, out: path, parameters: { quick: true } });
    const { cells, metadata } = parseNotebook(await readFile(path, 'utf8'), 'own');
    expect([outcome.cells.length, cells.length]).toEqual([3, 2]);
    expect(metadata.specoffload).toMatchObject({ status: 'completed', parameters: { quick: true } });
    expect(cells[1]).toMatchObject({ outputs: [{ data: { 'text/plain': 'true' } }] });
  });

  it('adds little to what the kernel needs', async () => {
    const path = await writeNotebook(
      folder,
      'trivial.ipynb',
      Array.from({ length: 20 }, (_, index) => `${index}`),
    );
    const { cells } = await runNotebook({ path, session, out: join(folder, 'trivial.out.ipynb') });
    const addedMs = cells
      .map(({ seconds, busySeconds }) => 1000 * (seconds - busySeconds!))
      .sort((a, b) => a - b);
    expect(cells).toHaveLength(20);
    console.info(
      `the runner adds ${addedMs[10].toFixed(1)} ms per cell (median of 20), at most ${addedMs[19].toFixed(1)} ms`,
    );
  });

  it('goes on after a failure that is wanted', async () => {
    const path = await writeNotebook(folder, 'wanted.ipynb', [
      { code: 'throw 1', tags: ['raises-exception'] },
      '2',
    ]);
    const { status, cells } = await runNotebook({ path, session });
    expect({ status, cells }).toMatchObject({
      status: 'completed',
      cells: [{ status: 'completed' }, { status: 'completed' }],
    });
  });

  it('reads what went wrong from a plain tslab too, which says it on standard error', async () => {
    const path = await writeNotebook(folder, 'plain.ipynb', ['1', 'throw new RangeError("no")']);
    const tslab = requireFromKernel.resolve('tslab/bin/tslab');
    const { failure } = await runNotebook({
      path,
      kernelCommand: [process.execPath, tslab, 'kernel', '--config-path', '{connection_file}'],
    });
    expect(failure).toMatchObject({ cell: 2, kind: 'error', ename: 'RangeError', evalue: 'no' });
  });

  it('shows what a cell prints after its end, and what programs print that it started', async () => {
    const path = await writeNotebook(folder, 'others.ipynb', [
      [
        'import { execSync, spawn } from "child_process";',
        'execSync("echo waited for", { stdio: "inherit" });',
        'await new Promise((end) => spawn("sh", ["-c", "echo awaited; echo aside >&2"], { stdio: "inherit" }).on("exit", end)); undefined',
      ].join('\n'),
      'const timer = setTimeout(() => console.log("late"), 100);',
    ]);
    const { status, leftovers, notebook } = await runNotebook({ path, session });
    expect({ status, leftovers }).toEqual({ status: 'completed', leftovers: [] });
    expect(notebook.cells.map((cell) => 'outputs' in cell && cell.outputs)).toMatchObject([
      [
        { name: 'stdout', text: 'waited for\nawaited\n' },
        { name: 'stderr', text: 'aside\n' },
      ],
      [{ name: 'stdout', text: 'late\n' }],
    ]);
  });

  type Lateness = readonly [what: string, cells: readonly string[], shown: object];
  /** Last the one that leaves a timer to run, and then the one that leaves no kernel. */
  const lateness: readonly Lateness[] = [
    [
      'a promise that nobody awaits was rejected',
      ['const step = async () => { throw new RangeError("lost"); };\nconst running = step();', '2'],
      { status: 'failed', failure: { cell: 1, ename: 'UnhandledRejection', evalue: 'RangeError: lost' } },
    ],
    [
      'a timer throws after the last cell',
      ['1', 'const timer = setTimeout(() => { throw new Error("late"); }, 50);'],
      { status: 'failed', failure: { cell: 2, ename: 'UncaughtException', evalue: 'Error: late' } },
    ],
    [
      'something goes on for ever after the last cell',
      ['const timer = setInterval(() => {}, 100);'],
      { status: 'completed', failure: null, leftovers: ['a timer'] },
    ],
    [
      'the kernel ends after the last cell',
      ['const timer = setTimeout(() => process.kill(process.pid, "SIGKILL"), 50);'],
      {
        status: 'failed',
        failure: {
          cell: 1,
          kind: 'died',
          evalue: expect.stringContaining('the kernel ended (signal SIGKILL)'),
        },
      },
    ],
  ];
  it.each(lateness)('says so when %s', async (_what, cells, shown) => {
    const path = await writeNotebook(folder, 'late.ipynb', cells);
    const outcome = await runNotebook({ path, session });
    expect(outcome).toMatchObject(shown);
    if (outcome.failure === null) return;
    const failed = outcome.notebook.cells[outcome.failure.cell - 1];
    expect(failed.metadata.specoffload).toMatchObject({ status: 'failed' });
    expect(failed).toMatchObject({ outputs: [{ output_type: 'error', ename: outcome.failure.ename }] });
  });

  it('leaves nothing else beside the notebook', async () => {
    expect((await readdir(folder)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

describe('what cannot be run', () => {
  const python = JSON.stringify({
    nbformat: 4,
    nbformat_minor: 5,
    cells: [],
    metadata: { kernelspec: { name: 'python3', language: 'python' } },
  });
  const cases: readonly (readonly [
    text: string,
    flags: readonly string[],
    exitCode: number,
    message: string,
  ])[] = [
    ['# a page', [], 1, 'is not valid JSON'],
    ['{"nbformat": 3}', [], 1, ': invalid nbformat: 3; expected 4'],
    [python, [], 1, 'is written in "python"; expected a notebook in typescript'],
    [
      '{"nbformat": 4, "metadata": {}, "cells": []}',
      ['--quick'],
      1,
      'unknown parameter: quick; the notebook declares none',
    ],
    ['{}', ['-p', 'quick'], 2, 'invalid --parameter: quick; expected key=value'],
    ['{}', ['--timeout', '0'], 2, 'invalid --timeout: 0'],
  ];
  it.each(cases)('%s %j', async (text, flags, exitCode, message) => {
    const path = join(folder, 'wrong.ipynb');
    await writeFile(path, text);
    const result = await callCli(['notebook', 'run', path, ...flags]);
    expect(result.stderr).toContain(message);
    expect(result).toMatchObject({ exitCode, stdout: '' });
    expect(await readdir(folder)).not.toContain('wrong.executed.ipynb');
  });

  it.each(['--out', '--html'])('%s where nothing can be written: before the first cell', async (flag) => {
    const path = await writeNotebook(folder, 'refused.ipynb', [
      'import { writeFileSync } from "fs"; writeFileSync("was-run", "");',
    ]);
    await writeFile(join(folder, 'file'), '');
    for (const place of [join(folder, 'file', 'x'), '/dev/full', '/proc/x', folder]) {
      const { exitCode, stderr } = await callCli(['notebook', 'run', path, flag, place]);
      expect(stderr).toMatch(
        /^specoffload: cannot write [^\n]+; name a file in a folder that can be written\n$/,
      );
      expect(exitCode).toBe(1);
    }
    expect(await readdir(folder)).not.toContain('was-run');
  });

  it('a page where a notebook is', async () => {
    const path = await writeNotebook(folder, 'both.ipynb', ['1']);
    const { exitCode, stderr } = await callCli(['notebook', 'run', path, '--html', path]);
    expect(stderr).toContain('invalid --html: the notebook itself; name another file');
    expect(exitCode).toBe(2);
  });

  it('a file that is not there', async () => {
    const { exitCode, stderr } = await runCli(['notebook', 'run', join(folder, 'nowhere.ipynb')]);
    expect(stderr).toContain('there is no such file');
    expect(exitCode).toBe(1);
  });
});
