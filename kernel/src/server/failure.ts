/** Why a cell failed, in words, whatever it threw: nothing that is asked of a thrown value may fail in turn. */

import { inspect, types } from 'node:util';
import { quote } from '@specoffload/input';
import { Interruption } from './interruption.js';
import { retell } from './traces.js';

/** As Jupyter's `error` message has it. */
export interface CellFailure {
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
}

/** Longer texts are cut: nobody reads them to their end, and every front end would keep them. */
const mostChars = 1_000_000;

export function describeThrown(value: unknown): CellFailure {
  try {
    if (isInterruption(value))
      return { ename: 'Interrupted', evalue: value.message, traceback: ['Interrupted'] };
    if (isError(value)) return describeError(value);
  } catch {
    // An error that cannot be read says as little as any other value.
  }
  const evalue = inspectSafely(value);
  return { ename: 'Thrown', evalue, traceback: [`Thrown: ${evalue}`] };
}

/** Also of another copy of this package, and as the reason of whatever a cell has aborted with its signal. */
function isInterruption(value: unknown): value is Error {
  return value instanceof Interruption;
}

/** Errors of another realm are no instances of this one's `Error`; what asks a proxy would run its code. */
function isError(value: unknown): value is Error {
  return types.isNativeError(value) || (!types.isProxy(value) && value instanceof Error);
}

function describeError(error: Error): CellFailure {
  const { name, message } = error;
  return {
    ename: typeof name === 'string' ? name : quote(name),
    evalue: cut(typeof message === 'string' ? message : quote(message)),
    traceback: withoutMachinery(inspectSafely(error)),
  };
}

/** A value as text, shorter than a front end can bear, even where the value does not want to be looked at. */
export function inspectSafely(value: unknown): string {
  try {
    return cut(inspect(value));
  } catch {
    return quote(value);
  }
}

export function cut(text: string): string {
  return text.length <= mostChars
    ? text
    : `${text.slice(0, mostChars)}\n[cut: the first ${mostChars} of ${text.length} characters]`;
}

/** A stack trace without the frames of tslab and of this kernel: nobody debugs a cell with them. */
function withoutMachinery(trace: string): string[] {
  const isMachinery = /^\s+at .*(tslab[\\/]dist[\\/]|kernel[\\/]dist[\\/]server[\\/]|node:vm:|node:internal)/;
  const [first = '', ...rest] = trace.split('\n').filter((line) => !isMachinery.test(line));
  // A syntax error that only Node finds begins with its place.
  return [retell(first), ...rest];
}
