/** What the kernel answers to each request, whatever carries the messages. */

import { isObject, type JsonObject } from '../json.js';
import { requireFromKernel } from '../packages.js';
import type { CellExecutor } from './executor.js';
import { listLeftovers } from './leftovers.js';

/** Publishes a message to all front ends, as caused by the request under way. */
export type Publish = (type: string, content: JsonObject) => void;

export interface Handler {
  execute(content: JsonObject, publish: Publish): Promise<JsonObject>;
  /** Everything else that has a reply; null for a request that this kernel does not know. */
  answer(type: string, content: JsonObject): { readonly type: string; readonly content: JsonObject } | null;
  interrupt(): void;
}

export interface KernelVersions {
  readonly kernel: string;
  readonly node: string;
  readonly tslab: string;
  readonly typescript: string;
}

export function createHandler(executor: CellExecutor, versions: KernelVersions): Handler {
  let executionCount = 0;
  const answers: Readonly<Record<string, (content: JsonObject) => JsonObject>> = {
    kernel_info: () => kernelInfo(versions),
    is_complete: ({ code }) => isComplete(String(code)),
    inspect: ({ code, cursor_pos }) => inspect(executor, String(code), Number(cursor_pos)),
    complete: ({ code, cursor_pos }) => complete(executor, String(code), Number(cursor_pos)),
    leftovers: () => ({ status: 'ok', leftovers: listLeftovers() }),
    comm_info: () => ({ status: 'ok', comms: {} }),
    history: () => ({ status: 'ok', history: [] }),
    shutdown: ({ restart }) => ({ status: 'ok', restart: restart === true }),
    interrupt: () => {
      executor.interrupt();
      return { status: 'ok' };
    },
  };
  return {
    async execute({ code }, publish) {
      const execution_count = ++executionCount;
      publish('execute_input', { code, execution_count });
      const { result, failure } = await executor.execute(String(code));
      if (failure !== null) {
        publish('error', { ...failure });
        return { status: 'error', execution_count, ...failure };
      }
      if (result !== null)
        publish('execute_result', { execution_count, data: { 'text/plain': result }, metadata: {} });
      return { status: 'ok', execution_count, payload: [], user_expressions: {} };
    },
    answer(type, content) {
      const name = type.replace(/_request$/, '');
      const answerTo = Object.hasOwn(answers, name) ? answers[name] : undefined;
      return answerTo === undefined ? null : { type: `${name}_reply`, content: answerTo(content) };
    },
    interrupt: () => executor.interrupt(),
  };
}

function kernelInfo(versions: KernelVersions): JsonObject {
  return {
    status: 'ok',
    protocol_version: '5.3',
    implementation: 'specoffload',
    implementation_version: versions.kernel,
    banner: `SpecOffload Lab ${versions.kernel}: TypeScript ${versions.typescript} on tslab ${versions.tslab}`,
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

function isComplete(code: string): JsonObject {
  const { isCompleteCode } = requireFromKernel(
    'tslab/dist/converter.js',
  ) as typeof import('tslab/dist/converter.js');
  const { completed, indent } = isCompleteCode(code);
  return completed ? { status: 'complete' } : { status: 'incomplete', indent: indent ?? '' };
}

function inspect(executor: CellExecutor, code: string, cursor: number): JsonObject {
  const { printQuickInfo } = requireFromKernel(
    'tslab/dist/inspect.js',
  ) as typeof import('tslab/dist/inspect.js');
  const info: unknown = executor.inspect(code, toUtf16(code, cursor));
  const data = isObject(info) ? { 'text/plain': printQuickInfo(info as never) } : {};
  return { status: 'ok', found: isObject(info), data, metadata: {} };
}

function complete(executor: CellExecutor, code: string, cursor: number): JsonObject {
  const { start, end, candidates } = executor.complete(code, toUtf16(code, cursor));
  return {
    status: 'ok',
    matches: candidates,
    cursor_start: toCodePoints(code, start),
    cursor_end: toCodePoints(code, end),
    metadata: {},
  };
}

/** Jupyter counts a cursor in code points, TypeScript in UTF-16 units. */
function toUtf16(code: string, codePoints: number): number {
  return [...code].slice(0, codePoints).join('').length;
}

function toCodePoints(code: string, units: number): number {
  return [...code.slice(0, units)].length;
}
