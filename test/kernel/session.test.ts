import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { kernelScript, requireFromKernel } from '../../kernel/src/packages.js';
import { kernelCommand } from '../../kernel/src/snapshot/place.js';
import { createConnection, writeConnectionFile } from '../../kernel/src/wire/connection.js';
import type { Message } from '../../kernel/src/wire/message.js';
import { starterVariable } from '../../kernel/src/wire/process.js';
import { KernelDiedError, KernelSession } from '../../kernel/src/wire/session.js';
import { runNode } from '../experiments/cli.js';

// A folder that has nothing to do with the project, with a module and a package of its own.
let folder: string;
let session: KernelSession;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-session-'));
  await writeFile(join(folder, 'helper.ts'), 'export const double = (x: number): number => 2 * x;\n');
  const own = join(folder, 'node_modules', 'own-package');
  await mkdir(own, { recursive: true });
  await writeFile(join(own, 'index.js'), 'exports.answer = 42;\n');
  await writeFile(join(own, 'index.d.ts'), 'export declare const answer: 42;\n');
  await writeFile(
    join(own, 'package.json'),
    '{"name": "own-package", "main": "index.js", "types": "index.d.ts"}',
  );
  session = await KernelSession.start({ cwd: folder });
});
afterAll(async () => {
  await session.shutdown();
  await rm(folder, { recursive: true, force: true });
});

interface Run {
  readonly status: string;
  readonly published: readonly (readonly [type: string, content: Message['content']])[];
  readonly stdout: string;
  readonly result: unknown;
  readonly error: unknown;
}

async function run(code: string, in_: KernelSession = session): Promise<Run> {
  const published: [string, Message['content']][] = [];
  const { status } = await in_.execute(code, ({ header, content }) =>
    published.push([header.msg_type, content]),
  );
  const contentsOf = (type: string) =>
    published.filter(([name]) => name === type).map(([, content]) => content);
  return {
    status,
    published,
    stdout: contentsOf('stream')
      .map(({ name, text }) => (name === 'stdout' ? text : ''))
      .join(''),
    result: (contentsOf('execute_result')[0]?.data as Record<string, unknown> | undefined)?.['text/plain'],
    error: contentsOf('error')[0]?.evalue,
  };
}

describe('a cell', () => {
  const cases: readonly (readonly [code: string, expected: Partial<Run>])[] = [
    ['1 + 1', { status: 'ok', result: '2', stdout: '' }],
    ['"text"', { status: 'ok', result: 'text' }],
    ['console.log("said"); undefined', { status: 'ok', result: undefined, stdout: 'said\n' }],
    [
      'process.stdout.write(Buffer.from("grö").subarray(0, 3)); process.stdout.write(Buffer.from("grö").subarray(3));',
      { stdout: 'grö' },
    ],
    ['await Promise.resolve(7)', { status: 'ok', result: '7' }],
    [
      'async function* two() { yield 1; yield 2; }\nfor await (const n of two()) console.log(n);',
      { status: 'ok', stdout: '1\n2\n' },
    ],
    ['const kept = { a: 1 };', { status: 'ok', result: undefined }],
    ['kept.a', { status: 'ok', result: '1' }],
    ['kept.b', { status: 'error', error: expect.stringContaining("1:6 - Property 'b' does not exist") }],
    [
      'const typed: number = "no";',
      { status: 'error', error: "1:7 - Type 'string' is not assignable to type 'number'." },
    ],
    ['throw new RangeError("too much")', { status: 'error', error: 'too much' }],
    ['throw "a text"', { status: 'error', error: "'a text'" }],
    ['await Promise.reject(new Error("later"))', { status: 'error', error: 'later' }],
    [
      'import "nowhere"; import { x } from "nowhere";',
      { status: 'error', error: expect.stringContaining("Cannot find module 'nowhere'") },
    ],
    ['import { double } from "./helper"; double(4)', { status: 'ok', result: '8' }],
    ['import { answer } from "own-package"; const exact: 42 = answer; exact', { status: 'ok', result: '42' }],
    [
      'import { parseDocument } from "@specoffload/engine"',
      { status: 'error', error: expect.stringContaining('parseDocument') },
    ],
  ];
  it.each(cases)('%s', async (code, expected) => {
    expect(await run(code)).toMatchObject(expected);
  });

  it.each([
    ['engine', 'import { inspectCheckpoint } from "@specoffload/engine"; typeof inspectCheckpoint'],
    ['experiments', 'import { parseBytes } from "@specoffload/experiments"; typeof parseBytes'],
    ['kernel', 'import { showFigure } from "@specoffload/kernel"; typeof showFigure'],
    ['mathjs', 'import { sqrt } from "mathjs"; typeof sqrt'],
    [
      'danfojs',
      'import { DataFrame, StandardScaler } from "danfojs"; ' +
        // Its tensors, which are most of what it brings.
        'String(new StandardScaler().fitTransform(new DataFrame({ a: [1, 3] }).mul(2)).values) === "-1,1" && typeof DataFrame',
    ],
    ['tslab', 'import { newDisplay } from "tslab"; typeof newDisplay'],
  ])('has the types and the code of %s', async (_name, code) => {
    expect(await run(code)).toMatchObject({ status: 'ok', result: 'function', stdout: '' });
  });

  it('has the lab in few files, with the errors that the kernel package has', async () => {
    const code = `import { UserError } from "@specoffload/engine"; import { parseBytes } from "@specoffload/experiments";
      import { runNotebook } from "@specoffload/kernel";
      let thrown: unknown[] = [];
      try { parseBytes("much", "size"); } catch (error) { thrown.push(error); }
      await runNotebook({ path: "nowhere.ipynb" }).catch((error) => thrown.push(error));
      [...thrown.map((error) => error instanceof UserError), /for-cells/.test((thrown[0] as Error).stack!)]`;
    expect(await run(code)).toMatchObject({ result: '[ true, true, true ]' });
  });

  it('has the types of plotly', async () => {
    const { status, error } = await run(
      'import type { Data } from "plotly.js"; const traces: Data[] = [{ type: "nonsense" }];',
    );
    expect({ status, error }).toEqual({ status: 'error', error: expect.stringContaining('"nonsense"') });
    const drawn =
      'import { Series } from "danfojs"; new Series([1]).plot("here").line({ layout: { width: "wide" } })';
    expect(await run(drawn)).toMatchObject({
      status: 'error',
      error: expect.stringContaining("'string' is not assignable to type 'number'"),
    });
  });

  it('shows things between what it prints, in order', async () => {
    const { published } = await run(
      'import { display } from "tslab"; console.log(1); display.html("<b>2</b>"); console.log(3); 4',
    );
    const shown = published.map(([type]) => type).filter((type) => type !== 'status');
    expect(shown).toEqual([
      'execute_input',
      'stream',
      'display_data',
      'stream',
      'execute_result',
      'execute_reply',
    ]);
  });

  it('has a traceback without the machinery below it', async () => {
    const { published } = await run('function fails() { throw new TypeError("deep") }\nfails()');
    const traceback = published.find(([type]) => type === 'error')![1].traceback as string[];
    expect(traceback.join('\n')).toContain('TypeError: deep\n    at fails (cell:');
    expect(traceback.join('\n')).not.toMatch(/tslab|node:vm|evalmachine/);
  });

  it('that follows a failed one at once is run', async () => {
    expect((await run('throw 1')).status).toBe('error');
    expect(await run('2')).toMatchObject({ status: 'ok', result: '2' });
  });

  it('that was sent together with a failing one is not run', async () => {
    const both = await Promise.all([run('throw 1'), run('globalThis.wasRun = true')]);
    expect(both.map(({ status }) => status)).toEqual(['error', 'aborted']);
    expect(await run('"wasRun" in globalThis')).toMatchObject({ result: 'false' });
  });
});

describe('a kernel', () => {
  it('says what it is', () => {
    expect(session.info).toMatchObject({
      status: 'ok',
      implementation: 'specoffload',
      language_info: { name: 'typescript', file_extension: '.ts' },
      versions: { node: process.versions.node, tslab: '1.0.22' },
    });
  });

  it.each([
    ['computes without a pause', 'console.log("begun"); while (true);'],
    ['waits', 'console.log("begun"); await new Promise((resolve) => setTimeout(resolve, 60_000));'],
  ])('is interrupted while it %s, and goes on', async (_what, code) => {
    const heard: unknown[] = [];
    let cell!: Promise<unknown>;
    await new Promise<void>((resolve) => {
      cell = session.execute(code, ({ header, content }) => {
        if (header.msg_type === 'stream') resolve();
        if (header.msg_type === 'error') heard.push(content.ename);
      });
    });
    // A signal in the moment in which the cell's code has returned and its promise is not awaited yet is lost to
    // Node: as the runner does, and a person would, ask again.
    session.interrupt();
    const asking = setInterval(() => session.interrupt(), 500);
    expect(await cell.finally(() => clearInterval(asking))).toMatchObject({ status: 'error' });
    expect(heard).toEqual(['Interrupted']);
    // A signal that was on its way when the cell ended may end the next one.
    await run('0');
    expect(await run('1')).toMatchObject({ status: 'ok', result: '1' });
  });

  it('forgets what cells have declared, in place', async () => {
    await run('const declared = 1; interface Shape { a: number }');
    await run('import { double } from "./helper"; (globalThis as any).kept = double(1);');
    const { pid } = session;
    await session.forget();
    expect(session.pid).toBe(pid);
    expect(await run('declared')).toMatchObject({ error: expect.stringContaining("name 'declared'") });
    expect(await run('let a: Shape;')).toMatchObject({ error: expect.stringContaining("name 'Shape'") });
    expect(await run('double(1)')).toMatchObject({ error: expect.stringContaining("name 'double'") });
    expect(await session.execute('(globalThis as any).kept')).toMatchObject({ executionCount: 4 });
    expect(await run('import { double } from "./helper"; double(2)')).toMatchObject({ result: '4' });
  });

  it('has forgotten everything when it was restarted', async () => {
    await run('const remembered = 1;');
    const { pid } = session;
    await session.restart();
    expect(session.pid).not.toBe(pid);
    expect(await run('remembered')).toMatchObject({ status: 'error' });
    expect(session.silentSeconds).toBeLessThan(30);
  });

  it.each([
    [
      'import { writeSync } from "fs"; writeSync(2, "last words"); process.kill(process.pid, "SIGKILL"); while (true);',
      'the kernel ended (signal SIGKILL); last it said: last words',
    ],
  ])('that dies says so, and lives again when it is restarted: %s', async (code, message) => {
    const failed = await session.execute(code).catch((error: unknown) => error);
    expect(failed).toBeInstanceOf(KernelDiedError);
    expect((failed as Error).message).toContain(message);
    await expect(session.execute('1')).rejects.toThrow('the kernel ended');
    await session.restart();
    expect(await run('1')).toMatchObject({ result: '1' });
  });

  it('starts from the snapshot, of which nothing shows in what cells start', async () => {
    expect(
      await run('[Symbol.for("specoffload.typescript") in globalThis, process.execArgv.length]'),
    ).toMatchObject({ result: '[ true, 0 ]' });
  });

  it('starts without a snapshot that Node refuses, and has a connection file while it lives', async () => {
    const broken = join(folder, 'broken.blob');
    await writeFile(broken, 'no snapshot');
    const command = [process.execPath, '--snapshot-blob', broken, kernelScript, '{connection_file}'];
    // Others start kernels as well.
    vi.stubEnv('TMPDIR', folder);
    try {
      const folders = async () =>
        (await readdir(folder)).filter((name) => name.startsWith('specoffload-kernel-'));
      const slow = await KernelSession.start({ cwd: folder, command });
      expect(await folders()).toHaveLength(1);
      expect(await run('Symbol.for("specoffload.typescript") in globalThis', slow)).toMatchObject({
        result: 'false',
      });
      await slow.shutdown();
      expect(await folders()).toEqual([]);
    } finally {
      vi.unstubAllEnvs();
    }
  });

  it('that cannot start says so', async () => {
    const start = (...command: string[]) =>
      KernelSession.start({ cwd: folder, command, startTimeoutSeconds: 1 });
    await expect(start('/no/such/program')).rejects.toThrow(
      'cannot start the kernel: spawn /no/such/program ENOENT',
    );
    await expect(start(process.execPath, '-e', 'console.error("sorry"); process.exit(7)')).rejects.toThrow(
      'the kernel ended (exit code 7); last it said: sorry',
    );
    await expect(start(process.execPath, '-e', 'setInterval(() => {}, 1000)')).rejects.toThrow(
      'the kernel did not answer within 1 s',
    );
  });

  it('ends with the process that started it, even while it computes', async () => {
    const { stdout } = await runNode([
      '--input-type=module',
      '-e',
      `import { KernelSession } from ${JSON.stringify(requireFromKernel.resolve('./dist/wire/session.js'))};
       const session = await KernelSession.start({ cwd: ${JSON.stringify(folder)} });
       session.execute('console.log(1); while (true);', ({ header }) => {
         if (header.msg_type !== 'stream') return;
         process.stdout.write(String(session.pid), () => process.kill(process.pid, 'SIGKILL'));
       });`,
    ]);
    const pid = Number(stdout);
    expect(pid).toBeGreaterThan(1);
    for (let attempt = 0; attempt < 100 && isRunning(pid); attempt++) await sleep(100);
    expect(isRunning(pid)).toBe(false);
  });

  it('ends where the process that started it had ended before it ran', async () => {
    const file = join(folder, 'orphan.json');
    await writeConnectionFile(await createConnection(), file);
    const words = kernelCommand(true).map((word) => word.replace('{connection_file}', file));
    // A shell that starts it, says its number, and is gone long before the kernel runs.
    const script = `JPY_PARENT_PID=$$ ${starterVariable}=$$ "$@" >/dev/null 2>&1 & echo $!`;
    const { stdout } = await promisify(execFile)('sh', ['-c', script, 'sh', ...words]);
    await vi.waitUntil(() => !isRunning(Number(stdout)), { timeout: 30_000, interval: 50 });
  });
});

describe("what a cell does to the language's own objects", () => {
  // Another kernel than the other tests': what a fault here breaks stays broken.
  let own: KernelSession;
  beforeAll(async () => {
    own = await KernelSession.start({ cwd: folder });
  });
  afterAll(() => own.shutdown());

  const changes: readonly (readonly [object: string, key: string, value: string, seen: string])[] = [
    ['JSON', '"stringify"', '() => "changed"', 'JSON.stringify([1])'],
    ['Array.prototype', '"map"', '() => "changed"', '[1].map(Number)'],
    ['Array.prototype', 'Symbol.iterator', 'null', '[][Symbol.iterator] ?? "changed"'],
    ['Map.prototype', '"get"', 'null', 'new Map().get ?? "changed"'],
    ['Math', '"random"', '() => "changed"', 'Math.random()'],
    ['Object.prototype', '"toJSON"', '() => "changed"', '(3 as any).toJSON()'],
    ['Promise.prototype', '"then"', 'null', 'Promise.prototype.then ?? "changed"'],
    ['globalThis', '"process"', 'null', '(globalThis as any).process ?? "changed"'],
    ['globalThis', '"Error"', '"changed"', 'Error'],
    ['globalThis', '"setImmediate"', '"changed"', 'setImmediate'],
  ];

  it.each(changes)('holds for cells, and not for the kernel: %s %s', async (object, key, value, seen) => {
    await run(
      `const object: any = ${object}; const before = Object.getOwnPropertyDescriptor(object, ${key});
       object[${key}] = ${value};`,
      own,
    );
    expect(await run('1 + 1', own)).toMatchObject({ status: 'ok', result: '2' });
    expect(await run(`String(${seen})`, own)).toMatchObject({ status: 'ok', result: 'changed' });
    const back = `delete object[${key}]; if (before) Object.defineProperty(object, ${key}, before); 3`;
    expect(await run(back, own)).toMatchObject({ status: 'ok', result: '3' });
  });

  it('ends the kernel where it cannot be undone, rather than leave a cell without an end', async () => {
    const frozen = own.execute('JSON.stringify = (() => "x") as any; Object.freeze(JSON);');
    await expect(frozen).rejects.toThrow('a cell has changed stringify for good');
  });
});

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
