/** What else the machine did during a measurement: time given to other machines, and time that other processes took. */

import { readdir, readFile } from 'node:fs/promises';
import type { ConditionsRecord } from '../store/record.js';
import { formatPercent } from '../terminal/format.js';

/**
 * Shares of the processors' time beyond which a measurement is distrusted. A stolen hundredth already moves a run that
 * keeps all cores busy by about as much; other processes first take what is idle, so they may have a little more.
 */
export const mostStolenShare = 0.01;
export const mostOthersShare = 0.05;

export interface ConditionsWatch {
  /** @returns null where the system does not say, and when too little time has passed to tell. */
  stop(): Promise<ConditionsRecord | null>;
}

/** Starts watching: `const watch = watchConditions(); …measure…; const conditions = await watch.stop();` */
export function watchConditions(): ConditionsWatch {
  const before = readUsage();
  return { stop: async () => conditionsBetween(await before, await readUsage()) };
}

/** Clock ticks since boot, all processors together. */
export interface Usage {
  readonly total: number;
  readonly stolen: number;
  /** In processes, whoever's. Interrupts are left out: those of a measurement's own reads are charged to nobody. */
  readonly inProcesses: number;
  /** Of this process and its descendants, those that have ended included. */
  readonly own: number;
}

/** What `stop` of a watch computes. */
export function conditionsBetween(before: Usage | null, after: Usage | null): ConditionsRecord | null {
  if (!before || !after || after.total <= before.total) return null;
  const share = (ticks: number) => Math.min(1, Math.max(0, ticks / (after.total - before.total)));
  const stolenShare = share(after.stolen - before.stolen);
  const othersShare = share(after.inProcesses - before.inProcesses - (after.own - before.own));
  return {
    ...{ stolenShare, othersShare },
    isDisturbed: stolenShare > mostStolenShare || othersShare > mostOthersShare,
  };
}

/** `other machines took 3 % of the processors' time and other processes 12 %`. */
export function describeConditions({ stolenShare, othersShare }: ConditionsRecord): string {
  return `other machines took ${formatPercent(stolenShare)} of the processors' time and other processes ${formatPercent(othersShare)}`;
}

/** null where the system does not say. */
export async function readUsage(): Promise<Usage | null> {
  const [processors, own] = await Promise.all([readText('/proc/stat'), readOwnTicks()]);
  const ticks = processors === null ? null : parseProcessorTicks(processors);
  return ticks === null || own === null ? null : { ...ticks, own };
}

/** The first line of /proc/stat, see proc(5); null when it is none. */
export function parseProcessorTicks(text: string): Omit<Usage, 'own'> | null {
  const [name, ...fields] = (text.split('\n')[0] ?? '').split(/\s+/);
  // user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user time.
  const ticks = fields.slice(0, 8).map(Number);
  if (name !== 'cpu' || ticks.length < 8 || ticks.some(Number.isNaN)) return null;
  const [user, nice, system] = ticks as [number, number, number];
  return {
    total: ticks.reduce((sum, count) => sum + count, 0),
    stolen: ticks[7],
    inProcesses: user + nice + system,
  };
}

/** Of one process. */
export interface ProcessTicks {
  readonly pid: number;
  readonly parentPid: number;
  /** Its own threads' and those of its children that have ended and were waited for. */
  readonly ticks: number;
}

/** /proc/PID/stat, see proc(5); null when it is none. */
export function parseProcessTicks(text: string): ProcessTicks | null {
  // The name, in brackets, may itself hold brackets and spaces: what counts begins after the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [pid, parentPid] = [Number.parseInt(text, 10), Number(fields[1])];
  // utime, stime, cutime, cstime
  const ticks = fields.slice(11, 15).map(Number);
  if (ticks.length < 4 || [pid, parentPid, ...ticks].some(Number.isNaN)) return null;
  return { pid, parentPid, ticks: ticks.reduce((sum, count) => sum + count, 0) };
}

/** Ticks of `rootPid` and all its descendants. */
export function sumTree(processes: readonly ProcessTicks[], rootPid: number): number {
  return processes
    .filter(({ pid, parentPid }) => pid === rootPid || parentPid === rootPid)
    .reduce((sum, { pid, ticks }) => sum + (pid === rootPid ? ticks : sumTree(processes, pid)), 0);
}

async function readOwnTicks(): Promise<number | null> {
  const names = await readdir('/proc').catch(() => []);
  const texts = await Promise.all(
    names.filter((name) => /^\d+$/.test(name)).map((pid) => readText(`/proc/${pid}/stat`)),
  );
  const processes = texts.flatMap((text) => (text === null ? [] : (parseProcessTicks(text) ?? [])));
  return processes.length === 0 ? null : sumTree(processes, process.pid);
}

/** null when it is not there, or gone by now. */
function readText(path: string): Promise<string | null> {
  return readFile(path, 'utf8').catch(() => null);
}
