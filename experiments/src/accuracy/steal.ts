/** How much of the processors' time the hypervisor gave to other machines: measurements made then say little. */

import { readFile } from 'node:fs/promises';

/** Clock ticks since boot, of all processors together. */
export interface ProcessorTicks {
  readonly total: number;
  readonly stolen: number;
}

/** null where the system does not say: the first line of /proc/stat, fields as in proc(5). */
export async function readProcessorTicks(): Promise<ProcessorTicks | null> {
  const text = await readFile('/proc/stat', 'utf8').catch(() => null);
  return text === null ? null : parseProcessorTicks(text);
}

export function parseProcessorTicks(text: string): ProcessorTicks | null {
  const [name, ...fields] = (text.split('\n')[0] ?? '').split(/\s+/);
  // user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user time.
  const ticks = fields.slice(0, 8).map(Number);
  if (name !== 'cpu' || ticks.length < 8 || ticks.some(Number.isNaN)) return null;
  return { total: ticks.reduce((sum, count) => sum + count, 0), stolen: ticks[7]! };
}

/** Stolen time over all time that anything ran or wanted to, 0 to 1; 0 where nobody knows. */
export function stolenShare(before: ProcessorTicks | null, after: ProcessorTicks | null): number {
  if (!before || !after || after.total === before.total) return 0;
  return (after.stolen - before.stolen) / (after.total - before.total);
}
