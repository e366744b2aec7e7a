/** What the queues of a GPU did, of runs that one computed. */

import { type KernelTime, kernelTime } from '../figures/index.js';
import type { Chart } from './charts.js';
import { type Representative, representatives } from './run-charts.js';
import type { Subject } from './subject.js';

const queues = ['compute', 'copy'] as const;
const phases = ['decode', 'prefill'] as const;

/** Nothing where no run has a GPU that told the time. */
export function queueCharts(subject: Subject): Chart[] {
  const chosen = representatives(subject);
  const choices = queues.flatMap((queue) =>
    phases.flatMap((phase) => {
      const times = chosen.flatMap((each) => toKernelTime(each, queue, phase));
      const subtitle = `${phase}; measured by the GPU's own clock, the best point of each`;
      const title = `the ${queue} queue`;
      return times.length === 0
        ? []
        : [{ label: `${queue}, ${phase}`, figure: kernelTime(times, { title, subtitle }) }];
    }),
  );
  return choices.length === 0 ? [] : [{ heading: 'The GPU’s queues', choices }];
}

/** All repeats together; none of a run without such times. */
function toKernelTime(
  { name, runs }: Representative,
  queue: (typeof queues)[number],
  phase: (typeof phases)[number],
): KernelTime[] {
  const seconds = new Map<string, number>();
  let phaseSeconds = 0;
  for (const { record } of runs) {
    const use = record.kind === 'measured' ? record.result.deviceUse?.[queue]?.[phase] : undefined;
    if (!use) return [];
    phaseSeconds += record.result.phases[phase].seconds;
    for (const [kind, spent = 0] of Object.entries(use.kernelSeconds))
      seconds.set(kind, (seconds.get(kind) ?? 0) + spent);
  }
  if (phaseSeconds === 0) return [];
  return [
    { name, shares: Object.fromEntries([...seconds].map(([kind, spent]) => [kind, spent / phaseSeconds])) },
  ];
}
