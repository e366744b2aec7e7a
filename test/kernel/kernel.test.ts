/** What a kernel that clients rely on does: it answers whatever it is sent, and goes on whatever a cell does. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { JsonObject } from '../../kernel/src/json.js';
import { kernelCommand } from '../../kernel/src/snapshot/place.js';
import { KernelClient } from '../../kernel/src/wire/client.js';
import {
  addressOf,
  type ConnectionInfo,
  createConnection,
  writeConnectionFile,
} from '../../kernel/src/wire/connection.js';
import { createRequest, decodeMessage, encodeMessage, type Message } from '../../kernel/src/wire/message.js';
import { type KernelProcess, spawnKernel } from '../../kernel/src/wire/process.js';

let folder: string;
let connection: ConnectionInfo;
let kernel: KernelProcess;
let client: KernelClient;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'specoffload-messages-'));
  connection = await createConnection();
  const file = join(folder, 'connection.json');
  await writeConnectionFile(connection, file);
  kernel = await spawnKernel(
    kernelCommand(true).map((word) => word.replace('{connection_file}', file)),
    folder,
  );
  client = await KernelClient.connect(connection);
  await client.request('shell', 'kernel_info_request', {});
}, 60_000);
afterAll(async () => {
  kernel.kill();
  await kernel.exited;
  client.end(new Error('over'));
  await rm(folder, { recursive: true, force: true });
});

interface Asked {
  readonly type: string;
  readonly content: JsonObject;
  /** What was published, without the states. */
  readonly published: readonly (readonly [type: string, content: JsonObject])[];
}

async function ask(type: string, content: JsonObject, onPublished?: (type: string) => void): Promise<Asked> {
  const published: [string, JsonObject][] = [];
  const { reply } = await client.request('shell', type, content, (message) => {
    const { msg_type } = message.header;
    onPublished?.(msg_type);
    if (msg_type !== 'status' && !msg_type.endsWith('_reply')) published.push([msg_type, message.content]);
  });
  return { type: reply.header.msg_type, content: reply.content, published };
}

const execute = (code: string, more: JsonObject = {}, onPublished?: (type: string) => void) =>
  ask('execute_request', { code, ...more }, onPublished);

/** Interrupts once, soon after the cell has begun to print. */
function interrupted(code: string, interrupt: () => void = () => kernel.interrupt()): Promise<Asked> {
  let hasPrinted = false;
  return execute(code, {}, (type) => {
    if (type !== 'stream' || hasPrinted) return;
    hasPrinted = true;
    setTimeout(interrupt, 100);
  });
}

describe('an error points at the lines of', () => {
  const traceback = async (code: string) => ((await execute(code)).content.traceback as string[]).join('\n');

  it.each([
    ['a cell', '// one\n\ninterface Two { a: number }\nthrow new Error("here")', 'cell:4:7'],
    [
      'a function',
      'type A = 1;\nfunction fails() {\n  // why\n  throw new Error("x");\n}\nfails()',
      'at fails (cell:4:9)',
    ],
    ['what follows an await', '\n\nawait null;\n\nthrow new Error("x")', 'cell:5:7'],
    ['a rejection', '\n\nawait Promise.reject(new Error("x"))', 'cell:3:22'],
    ['a type error', '\n\nconst x: number = "a";', '3:7 - Type'],
    ['a type error after short properties', 'const aa = 1;\n({ aa }, aa.b)', '2:13 - Property'],
    ['a syntax error', 'const a = 1;\nconst = 2;', '2:7 - '],
  ])('%s', async (_what, code, place) => {
    expect(await traceback(code)).toContain(place);
  });

  it('the earlier cell that it is in, by its number', async () => {
    const { content } = await execute('type B = 2;\n\nfunction early() {\n  throw new Error("x");\n}');
    const trace = await traceback('\nearly();');
    expect(trace).toContain(`at early (cell[${content.execution_count}]:4:9)`);
    expect(trace).toContain('at cell:2:1');
  });
});

describe('whatever a cell does, the kernel goes on:', () => {
  it.each([
    ['1,300 summands', Array(1300).fill('1').join('+'), null],
    ['20,000 summands', Array(20_000).fill('1').join('+'), 'divide it into smaller expressions'],
    ['8,000 nested brackets', '['.repeat(8000) + ']'.repeat(8000), 'divide it into smaller expressions'],
    ['a thrown proxy', 'throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 } })', '{}'],
    [
      'an error that cannot be read',
      'class Bad extends Error { get message(): string { throw 1 } }; throw new Bad()',
      'Thrown',
    ],
    [
      'a value that throws when shown',
      '({ [Symbol.for("nodejs.util.inspect.custom")]() { throw 1 } })',
      null,
    ],
    ['a value of 5 MB', '"x".repeat(5e6)', null],
    ['process.exit', 'process.exit(3)', 'process.exit(3) would end the kernel'],
    ['process.abort', 'process.abort()', 'process.abort() would end the kernel'],
  ])('%s', async (_what, code, error) => {
    const { content } = await execute(code);
    expect(content.status).toBe(error === null ? content.status : 'error');
    if (error !== null) expect(JSON.stringify(content)).toContain(error);
    expect((await execute('6 * 7')).published.at(-1)![1].data).toEqual({ 'text/plain': '42' });
  });

  it('what nobody catches is shown', async () => {
    const { content, published } = await execute(
      'Promise.reject(new Error("stray")); setTimeout(() => { throw new Error("late") }, 1); await new Promise((r) => setTimeout(r, 100)); 1',
    );
    expect(content.status).toBe('ok');
    expect(published.map(([, shown]) => shown.evalue).filter(Boolean)).toEqual([
      'Error: stray',
      'Error: late',
    ]);
  });
});

describe('an interrupt', () => {
  it.each([
    ['a loop', 'console.log(1); while (true);'],
    ['a loop after an await', 'await new Promise((r) => setTimeout(r, 10)); console.log(1); while (true);'],
    ['promises without end', 'console.log(1); for (;;) await null;'],
    ['a pattern that backtracks', 'console.log(1); await null; /^(a+)+$/.test("a".repeat(50) + "b")'],
    [
      'what is thrown and never shown',
      'console.log(1); throw { [Symbol.for("nodejs.util.inspect.custom")]() { while (true); } };',
    ],
    ['what waits', 'console.log(1); await new Promise(() => {})'],
  ])('ends %s', async (_what, code) => {
    const { content } = await interrupted(code);
    expect(content).toMatchObject({ status: 'error', ename: 'Interrupted' });
    expect((await execute('1')).content.status).toBe('ok');
  });

  it('may come as a message, and is answered', async () => {
    let answer!: Promise<unknown>;
    const { content } = await interrupted('await null; console.log(1); while (true);', () => {
      answer = client.request('control', 'interrupt_request', {});
    });
    expect(content).toMatchObject({ status: 'error', ename: 'Interrupted' });
    expect(await answer).toMatchObject({ reply: { content: { status: 'ok' } } });
  });

  it('says that it is in vain, where it is', async () => {
    let answer!: Promise<unknown>;
    const { published } = await interrupted(
      'import { execSync } from "child_process"; console.log(1); await new Promise((r) => setTimeout(r, 200)); execSync("sleep 5");',
      () =>
        setTimeout(() => {
          answer = client.request('control', 'interrupt_request', {});
        }, 500),
    );
    expect(await answer).toMatchObject({
      reply: { content: { status: 'error', ename: 'NotInterruptible' } },
    });
    expect(published.map(([, { text }]) => text).join('')).toContain('Restart the kernel');
  });

  it('stops what a cell has left waiting', async () => {
    await interrupted(
      'let turns = 0; console.log(1); for (;;) { await new Promise((r) => setTimeout(r, 5)); (globalThis as any).count = ++turns; }',
    );
    const count = 'await new Promise((r) => setTimeout(r, 100)); (globalThis as any).count';
    const [first, second] = [await execute(count), await execute(count)];
    expect(first.published.at(-1)![1].data).toEqual(second.published.at(-1)![1].data);
  });

  it('reaches what listens to the signal of the cell', async () => {
    const { content } = await interrupted(
      [
        'import { currentSignal } from "@specoffload/input";',
        'console.log(1);',
        'await new Promise((_, reject) => currentSignal()!.addEventListener("abort", () => reject(new Error("told"))));',
      ].join('\n'),
    );
    expect(content.status).toBe('error');
  });
});

describe('a request', () => {
  it.each([
    ['nonsense_request', {}, 'nonsense_reply', /unknown request/],
    ['debug_request', { seq: 1, command: 'attach' }, 'debug_reply', /no debugger/],
    [
      'execute_request',
      { code: { toString: 1 } },
      'execute_reply',
      /invalid code: \{"toString":1\}; expected text/,
    ],
    ['complete_request', { code: 'a', cursor_pos: 'x' }, 'complete_reply', /invalid cursor_pos/],
    ['is_complete_request', {}, 'is_complete_reply', /invalid code: missing/],
  ])('of %s that makes no sense is refused', async (type, content, replyType, evalue) => {
    const reply = await ask(type, content);
    expect(reply.type).toBe(replyType);
    expect(reply.content).toMatchObject({ status: 'error', evalue: expect.stringMatching(evalue) });
  });

  it('that is silent publishes nothing and counts for nothing', async () => {
    const before = await execute('1');
    const silent = await execute('console.log(1); 2', { silent: true });
    expect(silent.published).toEqual([]);
    const unstored = await execute('3', { store_history: false });
    expect(unstored.content.execution_count).toBe(before.content.execution_count);
    const { content } = await ask('history_request', { hist_access_type: 'tail', n: 1, output: true });
    expect(content.history).toEqual([[1, before.content.execution_count, ['1', '1']]]);
  });

  it('gets the values of its expressions, each for itself', async () => {
    const { content } = await execute('const seven = 7;', {
      user_expressions: { a: 'seven + 1', b: 'eight' },
    });
    expect(content.user_expressions).toMatchObject({
      a: { status: 'ok', data: { 'text/plain': '8' } },
      b: { status: 'error', evalue: expect.stringContaining("Cannot find name 'eight'") },
    });
  });

  it('for completions gets their kinds', async () => {
    const { content } = await ask('complete_request', { code: 'Math.ab', cursor_pos: 7 });
    expect(content).toMatchObject({
      matches: ['abs'],
      metadata: { _jupyter_types_experimental: [{ start: 5, end: 7, text: 'abs', type: 'method' }] },
    });
  });

  it('for input is refused where nobody can type', async () => {
    const { content } = await execute('import { prompt } from "@specoffload/kernel"; await prompt("name: ")');
    expect(content).toMatchObject({
      status: 'error',
      evalue: expect.stringContaining('nobody can type here'),
    });
  });

  it('shows a frame as a table, and figures that change', async () => {
    const frame = await execute('import { DataFrame } from "danfojs"; new DataFrame([{ a: 1, b: "x" }])');
    expect(frame.published.at(-1)![1].data).toMatchObject({
      'text/html': expect.stringContaining('<th style="text-align:right">a</th>'),
    });
    const figure = '{ data: [], layout: {} }';
    const { published } = await execute(
      `import { createFigure } from "@specoffload/kernel"; const live = createFigure(${figure}); live.update(${figure});`,
    );
    const shown = published.slice(1).map(([type, { transient }]) => [type, transient]);
    const transient = { display_id: expect.stringMatching(/^[0-9a-f]{16}$/) };
    expect(shown).toEqual([
      ['display_data', transient],
      ['update_display_data', shown[0][1]],
    ]);
  });
});

describe('a front end', () => {
  type Dealer = InstanceType<typeof import('zeromq').Dealer>;

  async function connect(channel: 'shell' | 'stdin', identity: string): Promise<Dealer> {
    const { Dealer } = await import('zeromq');
    const socket = new Dealer({ routingId: identity, linger: 0 });
    socket.connect(addressOf(connection, channel));
    return socket;
  }
  const send = (socket: Dealer, type: string, content: JsonObject) =>
    socket.send(encodeMessage(createRequest(type, 'test', content), connection.key));
  const receive = async (socket: Dealer): Promise<Message> =>
    decodeMessage(await socket.receive(), connection.key);

  it('types what a cell asks for', async () => {
    const [shell, stdin] = await Promise.all([connect('shell', 'typist'), connect('stdin', 'typist')]);
    await send(shell, 'execute_request', {
      code: 'import { prompt } from "@specoffload/kernel"; const name = await prompt("name: "); name',
      allow_stdin: true,
    });
    const asked = await receive(stdin);
    expect(asked).toMatchObject({
      header: { msg_type: 'input_request' },
      content: { prompt: 'name: ', password: false },
    });
    await send(stdin, 'input_reply', { value: 'Ada' });
    expect(await receive(shell)).toMatchObject({ content: { status: 'ok' } });
    expect((await execute('name')).published.at(-1)![1].data).toEqual({ 'text/plain': 'Ada' });
    shell.close();
    stdin.close();
  });

  it('that comes back under its name gets its answers', async () => {
    const first = await connect('shell', 'same');
    await send(first, 'kernel_info_request', {});
    await receive(first);
    const second = await connect('shell', 'same');
    await send(second, 'kernel_info_request', {});
    expect(await receive(second)).toMatchObject({ content: { status: 'ok' } });
    first.close();
    second.close();
  });
});

it('answers after 1,000 messages of any kind', async () => {
  const { Dealer } = await import('zeromq');
  const random = createRandom(11);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)];
  const types = [
    'execute',
    'complete',
    'inspect',
    'history',
    'is_complete',
    'comm_info',
    'debug',
    'x',
    'kernel_info',
  ];
  const fields = [
    'code',
    'cursor_pos',
    'silent',
    'user_expressions',
    'n',
    'pattern',
    'start',
    'comm_id',
    'seq',
  ];
  const values: readonly unknown[] = [
    ...[null, true, -1, 1e308, 0.5, '', '1', 'throw 1', '['.repeat(300), '\u0000\ud800', '*'.repeat(99)],
    ...[
      [],
      {},
      { toString: 1 },
      { length: -1 },
      [[[1]]],
      { __proto__: null },
      { a: '1 +' },
      '[1, 2',
      'a.b.c',
    ],
  ];
  const socket = new Dealer({ linger: 0 });
  socket.connect(addressOf(connection, 'shell'));
  for (let i = 0; i < 1000; i++) {
    const type = pick([
      ...types.map((name) => `${name}_request`),
      'comm_open',
      'comm_msg',
      'input_reply',
      '',
    ]);
    const content = Object.fromEntries(
      Array.from({ length: Math.floor(random() * 5) }, () => [pick(fields), pick(values)]),
    );
    const frames = encodeMessage(
      createRequest(type, 'fuzz', { ...content, stop_on_error: false }),
      connection.key,
    );
    if (random() < 0.2) {
      const at = Math.floor(random() * frames.length);
      frames[at] = pick([Buffer.from('{'), Buffer.from([0xff, 0]), '['.repeat(100_000), 'null']);
    }
    await socket.send(frames);
  }
  expect((await execute('6 * 7')).published.at(-1)![1].data).toEqual({ 'text/plain': '42' });
  socket.close();
}, 120_000);

/** Marsaglia's xorshift. */
function createRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
