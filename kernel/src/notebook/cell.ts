/** Runs one cell in a kernel, for as long as it may, and says how it ended. */

import { setTimeout as sleep } from 'node:timers/promises';
import { isRecord, reasonOf } from '@specoffload/input';
import type { JsonObject } from '../json.js';
import type { Message } from '../wire/message.js';
import { type ExecuteReply, KernelDiedError, type KernelSession } from '../wire/session.js';
import type { CellOutput, CodeCell } from './format.js';
import { errorOutput, type OutputCollector } from './outputs.js';

/** Why a notebook stopped. */
export interface CellFailure {
  readonly kind: 'error' | 'timeout' | 'died' | 'interrupted';
  readonly ename: string;
  readonly evalue: string;
  readonly traceback: readonly string[];
}

/** Something that ends a cell from outside: a time that is over, or a person. */
export interface Limit {
  readonly kind: 'timeout' | 'interrupted';
  readonly message: string;
  /** Aborted when the cell has to end. */
  readonly signal: AbortSignal;
}

/** After an interrupt a cell has this long to end before the kernel is killed. */
const graceMs = 3000;
const againMs = 1000;

/** Mutates `cell`: its outputs, its execution count, and its times in its metadata. */
export async function runCell(
  session: KernelSession,
  cell: CodeCell,
  collector: OutputCollector,
  limits: readonly Limit[],
): Promise<CellFailure | null> {
  const times: Record<string, string> = {};
  const heard = { messages: 0, latestMs: 0 };
  collector.begin(cell);
  const execution = session.execute(cell.source, (message) => {
    noteTime(times, message);
    heard.messages += 1;
    heard.latestMs = Date.parse(message.header.date);
    collector.add(message);
  });
  const { reply, failure } = await endWithin(execution, session, limits, heard);
  if (reply !== null) cell.execution_count = reply.executionCount;
  cell.metadata = { ...cell.metadata, execution: times };
  const cause = failure ?? (reply !== null && reply.status !== 'ok' ? describeError(cell, reply) : null);
  if (failure !== null) cell.outputs = cell.outputs.filter((output) => !isInterruption(output));
  if (cause !== null && !isShown(cell, cause))
    cell.outputs.push(errorOutput(cause.ename, cause.evalue, cause.traceback));
  return cause;
}

/** What Jupyter's own runners note, under the names they use. */
function noteTime(times: Record<string, string>, { header, content }: Message): void {
  const { msg_type: type, date } = header;
  if (type === 'status') times[`iopub.status.${String(content.execution_state)}`] = date;
  else if (type === 'execute_input') times['iopub.execute_input'] = date;
  else if (type === 'execute_reply') times['shell.execute_reply'] = date;
}

/** Of a cell's messages: how many have arrived here, and when the kernel made the latest. */
interface Heard {
  readonly messages: number;
  readonly latestMs: number;
}

interface Ending {
  readonly reply: ExecuteReply | null;
  readonly failure: CellFailure | null;
}

async function endWithin(
  execution: Promise<ExecuteReply>,
  session: KernelSession,
  limits: readonly Limit[],
  heard: Heard,
): Promise<Ending> {
  const ended: Promise<Ending> = execution.then(
    (reply) => ({ reply, failure: null }),
    (error) => ({ reply: null, failure: describeDeath(error) }),
  );
  const stop = new AbortController();
  const broken = await Promise.race([ended.then(() => null), firstBroken(limits, stop.signal)]);
  stop.abort();
  if (broken === null) return ended;
  const { kind, message } = broken;
  const isOver = await interruptUntil(ended, session, heard);
  if (!isOver) await session.kill();
  const { reply } = await ended;
  const evalue = isOver
    ? message
    : `${message}; it did not let itself be interrupted, so the kernel was ended`;
  return { reply, failure: { kind, ename: ename[kind], evalue, traceback: [evalue] } };
}

/**
 * More than once: a signal that arrives just when a cell goes over from computing to waiting is lost on tslab.
 * What was printed before the interrupt may take long to be read, and the cell's end stands behind it: while it comes,
 * the cell's time does not run.
 */
async function interruptUntil(
  ended: Promise<Ending>,
  session: KernelSession,
  heard: Heard,
): Promise<boolean> {
  const interruptedMs = Date.now();
  const end = ended.then(() => true);
  for (let waitedMs = 0; waitedMs < graceMs; ) {
    const { messages } = heard;
    session.interrupt();
    if (await Promise.race([end, sleep(againMs, false)])) return true;
    const isBehind = heard.messages > messages && heard.latestMs < interruptedMs;
    if (!isBehind) waitedMs += againMs;
  }
  return false;
}

const ename = { timeout: 'CellTimeout', interrupted: 'Interrupted' } as const;

function firstBroken(limits: readonly Limit[], stop: AbortSignal): Promise<Limit> {
  return new Promise((resolve) => {
    for (const limit of limits) {
      if (limit.signal.aborted) resolve(limit);
      else
        AbortSignal.any([limit.signal, stop]).addEventListener('abort', () => {
          if (limit.signal.aborted) resolve(limit);
        });
    }
  });
}

/** @param error what a session throws when its kernel is gone. */
export function describeDeath(error: unknown): CellFailure {
  const ename = error instanceof KernelDiedError ? 'KernelDied' : 'KernelLost';
  const evalue = reasonOf(error);
  return { kind: 'died', ename, evalue, traceback: evalue.split('\n') };
}

/** A kernel that follows the protocol says what was wrong; a plain tslab says it on standard error alone. */
function describeError(cell: CodeCell, { status, content }: ExecuteReply): CellFailure {
  const { ename, evalue, traceback } = content;
  if (status === 'error' && typeof ename === 'string')
    return { kind: 'error', ename, evalue: String(evalue), traceback: toTraceback(traceback, ename, evalue) };
  if (status === 'aborted')
    return { kind: 'error', ename: 'Aborted', evalue: 'the kernel did not run the cell', traceback: [] };
  const lines = lastStderr(cell).trimEnd().split('\n');
  const said = lines
    .map((line) => /^(?:Uncaught )?(\w*(?:Error|Exception)\w*): (.*)$/.exec(line))
    .find((match) => match);
  return {
    kind: 'error',
    ename: said?.[1] ?? 'Error',
    evalue: said?.[2] ?? lines[0] ?? 'the cell failed',
    traceback: lines,
  };
}

function toTraceback(traceback: unknown, ename: string, evalue: unknown): string[] {
  if (Array.isArray(traceback) && traceback.length > 0) return traceback.map(String);
  return [`${ename}: ${String(evalue)}`];
}

function lastStderr({ outputs }: CodeCell): string {
  const output = outputs.findLast(
    (candidate) => candidate.output_type === 'stream' && candidate.name === 'stderr',
  );
  return output?.output_type === 'stream' ? output.text : '';
}

/** What the kernel says about an interrupt of ours; the reason for it says more. */
function isInterruption(output: CellOutput): boolean {
  return output.output_type === 'error' && output.ename === ename.interrupted;
}

/** Whether the kernel has published this failure itself. */
function isShown({ outputs }: CodeCell, { kind, ename }: CellFailure): boolean {
  return (
    kind === 'error' && outputs.some((output) => output.output_type === 'error' && output.ename === ename)
  );
}

/** How long the kernel was busy with a cell, by its own clock; null where it did not say. */
export function busySeconds({ metadata }: { readonly metadata: JsonObject }): number | null {
  const times = isRecord(metadata.execution) ? metadata.execution : {};
  const seconds =
    (Date.parse(String(times['iopub.status.idle'])) - Date.parse(String(times['iopub.status.busy']))) / 1000;
  return seconds >= 0 ? seconds : null;
}
