/** What the kernel answers to each request, whatever carries the messages. */

import { isRecord, quote } from '@specoffload/input';
import { NotebookError } from '../errors.js';
import type { JsonObject } from '../json.js';
import { requireFromKernel } from '../packages.js';
import { judgeCompleteness } from './completeness.js';
import type { CellExecutor, CellOutcome } from './executor.js';
import { describeThrown } from './failure.js';
import { History } from './history.js';
import { listLeftovers } from './leftovers.js';

/** Publishes a message to all front ends, as caused by the request under way. */
export type Publish = (type: string, content: JsonObject) => void;

export interface Handler {
  /** Never rejects: a request that makes no sense is answered with what is wrong about it. */
  execute(content: JsonObject, publish: Publish): Promise<JsonObject>;
  /** Everything else, unknown requests included. Never throws. */
  answer(type: string, content: JsonObject): { readonly type: string; readonly content: JsonObject };
}

export interface KernelVersions {
  readonly kernel: string;
  readonly node: string;
  readonly tslab: string;
  readonly typescript: string;
}

export function createHandler(executor: CellExecutor, versions: KernelVersions): Handler {
  let executionCount = 0;
  let history = new History();
  const answers: Readonly<Record<string, (content: JsonObject) => JsonObject>> = {
    kernel_info: () => kernelInfo(versions),
    is_complete: (content) => judgeCompleteness(readText(content, 'code')),
    inspect: (content) => inspect(executor, readText(content, 'code'), readCursor(content)),
    complete: (content) => complete(executor, readText(content, 'code'), readCursor(content)),
    forget() {
      executor.forget();
      history = new History();
      executionCount = 0;
      return { status: 'ok' };
    },
    leftovers: () => ({ status: 'ok', leftovers: listLeftovers() }),
    comm_info: () => ({ status: 'ok', comms: {} }),
    history: (content) => history.answer(content),
    debug: refuseDebugging,
  };
  const run = async (content: JsonObject, publish: Publish): Promise<JsonObject> => {
    const { code, isSilent, isStored, expressions } = readExecution(content);
    if (isStored) executionCount += 1;
    const execution_count = executionCount;
    const show: Publish = isSilent ? () => {} : publish;
    show('execute_input', { code, execution_count });
    const { result, failure } = await executor.execute(code, isStored ? execution_count : null);
    const output = result?.['text/plain'] ?? null;
    if (isStored) history.add({ line: execution_count, input: code, output });
    if (failure !== null) {
      show('error', { ...failure });
      return { status: 'error', execution_count, ...failure };
    }
    if (result !== null) show('execute_result', { execution_count, data: result, metadata: {} });
    const user_expressions = await evaluate(executor, expressions);
    return { status: 'ok', execution_count, payload: [], user_expressions };
  };
  return {
    execute: (content, publish) =>
      run(content, publish).catch((error) => ({ execution_count: executionCount, ...errorContent(error) })),
    answer(type, content) {
      const name = type.replace(/_request$/, '');
      const answerTo = Object.hasOwn(answers, name) ? answers[name] : () => refuseUnknown(type);
      try {
        return { type: `${name}_reply`, content: answerTo(content) };
      } catch (error) {
        return { type: `${name}_reply`, content: errorContent(error) };
      }
    },
  };
}

/** As the content of a reply. */
export function errorContent(error: unknown): JsonObject {
  return { status: 'error', ...describeThrown(error) };
}

interface Execution {
  readonly code: string;
  /** Nothing is published but whether the kernel is at work. */
  readonly isSilent: boolean;
  readonly isStored: boolean;
  readonly expressions: readonly (readonly [name: string, code: string])[];
}

/** @throws NotebookError */
function readExecution(content: JsonObject): Execution {
  const { silent, store_history, user_expressions = {} } = content;
  if (!isRecord(user_expressions)) throw wrongField('user_expressions', user_expressions, 'an object');
  return {
    code: readText(content, 'code'),
    isSilent: silent === true,
    isStored: silent !== true && store_history !== false,
    expressions: Object.keys(user_expressions).map((name) => [name, readText(user_expressions, name)]),
  };
}

/** Each after the cell, and whatever becomes of the others. */
async function evaluate(executor: CellExecutor, expressions: Execution['expressions']): Promise<JsonObject> {
  const values: [string, JsonObject][] = [];
  for (const [name, code] of expressions)
    values.push([name, toExpressionValue(await executor.execute(code))]);
  return Object.fromEntries(values);
}

function toExpressionValue({ result, failure }: CellOutcome): JsonObject {
  if (failure !== null) return { status: 'error', ...failure };
  return { status: 'ok', data: result ?? { 'text/plain': 'undefined' }, metadata: {} };
}

function kernelInfo(versions: KernelVersions): JsonObject {
  return {
    status: 'ok',
    protocol_version: '5.3',
    implementation: 'specoffload',
    implementation_version: versions.kernel,
    banner: `SpecOffload Lab ${versions.kernel}: TypeScript ${versions.typescript} on tslab ${versions.tslab}`,
    debugger: false,
    help_links: [],
    language_info: {
      name: 'typescript',
      version: versions.typescript,
      mimetype: 'text/typescript',
      file_extension: '.ts',
      // As tslab has it: the classic notebook and JupyterLab each read some of these.
      codemirror_mode: { mode: 'typescript', name: 'javascript', typescript: true },
    },
    versions,
  };
}

function inspect(executor: CellExecutor, code: string, cursor: number): JsonObject {
  const { printQuickInfo } = requireFromKernel(
    'tslab/dist/inspect.js',
  ) as typeof import('tslab/dist/inspect.js');
  const info: unknown = executor.inspect(code, toUtf16(code, cursor));
  const data = isRecord(info) ? { 'text/plain': printQuickInfo(info as never) } : {};
  return { status: 'ok', found: isRecord(info), data, metadata: {} };
}

function complete(executor: CellExecutor, code: string, cursor: number): JsonObject {
  const completion = executor.complete(code, toUtf16(code, cursor));
  if (completion === null)
    return { status: 'ok', matches: [], cursor_start: cursor, cursor_end: cursor, metadata: {} };
  const start = toCodePoints(code, completion.start);
  const end = toCodePoints(code, completion.end);
  const entries = (completion.original as { entries?: readonly Entry[] } | undefined)?.entries ?? [];
  const kinds = new Map(entries.map(({ name, kind }) => [name, kind]));
  return {
    status: 'ok',
    matches: completion.candidates,
    cursor_start: start,
    cursor_end: end,
    metadata: {
      // What JupyterLab draws beside each.
      _jupyter_types_experimental: completion.candidates.map((text) => ({
        ...{ start, end, text },
        type: kinds.get(text) || 'keyword',
      })),
    },
  };
}

/** Of TypeScript: what a name stands for. */
interface Entry {
  readonly name: string;
  readonly kind: string;
}

function refuseDebugging({ seq, command }: JsonObject): JsonObject {
  const evalue = 'this kernel has no debugger';
  return {
    ...{ status: 'error', ename: 'NotSupported', evalue, traceback: [evalue] },
    // How the debug adapter protocol refuses a request.
    ...{ type: 'response', request_seq: seq ?? 0, command: command ?? '', success: false, message: evalue },
  };
}

function refuseUnknown(type: string): never {
  throw new NotebookError(
    `unknown request ${quote(type)}; this kernel speaks version 5.3 of Jupyter's protocol`,
  );
}

/** @throws NotebookError */
function readText(content: JsonObject, field: string): string {
  const value = content[field];
  if (typeof value !== 'string') throw wrongField(field, value, 'text');
  return value;
}

/** @throws NotebookError */
function readCursor({ code, cursor_pos: cursor = [...String(code)].length }: JsonObject): number {
  if (!Number.isSafeInteger(cursor) || Number(cursor) < 0)
    throw wrongField('cursor_pos', cursor, 'a whole number from 0 on');
  return Number(cursor);
}

function wrongField(field: string, value: unknown, expected: string): NotebookError {
  return new NotebookError(`invalid ${field}: ${quote(value)}; expected ${expected}`);
}

/** Jupyter counts a cursor in code points, TypeScript in UTF-16 units. */
function toUtf16(code: string, codePoints: number): number {
  return [...code].slice(0, codePoints).join('').length;
}

function toCodePoints(code: string, units: number): number {
  return [...code.slice(0, units)].length;
}
