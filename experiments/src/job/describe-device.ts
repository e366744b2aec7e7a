/** What a GPU did in a run by its own clock, and what it drew, in words. */

import type { DeviceUse, PhaseName, QueueUse } from '@specoffload/engine';
import type { ResultRecord } from '../store/index.js';
import { formatPercent, threeDigits } from '../terminal/format.js';

const phases = ['decode', 'prefill'] as const satisfies readonly PhaseName[];

export function describeUse({
  deviceUse,
  devicePower,
  phases: run,
  newTokens,
}: ResultRecord): [string, string][] {
  if (deviceUse === undefined && devicePower === undefined) return [];
  const queues = (['compute', 'copy'] as const).map((queue): [string, string] => [
    `${queue} queue`,
    describeQueue(deviceUse?.[queue] ?? null, run),
  ]);
  return [...queues, ['power', describePower(devicePower ?? null, newTokens)]];
}

/** `decode 61 % busy: matmul 40 %, attention 12 %; prefill 90 % busy: matmul 90 %`. */
function describeQueue(use: DeviceUse['compute'], run: ResultRecord['phases']): string {
  if (use === null) return 'not measured: the card does not tell the time there';
  const describe = (phase: PhaseName) =>
    run[phase].seconds > 0 ? [`${phase} ${describeKernels(use[phase], run[phase].seconds)}`] : [];
  return phases.flatMap(describe).join('; ');
}

function describeKernels({ utilization, kernelSeconds }: QueueUse, seconds: number): string {
  const parts = Object.entries(kernelSeconds)
    .filter(([, spent]) => spent >= 0.001 * seconds)
    .sort(([, a], [, b]) => b - a)
    .map(([kind, spent]) => `${kind} ${formatPercent(spent / seconds)}`);
  return [`${formatPercent(utilization)} busy`, ...(parts.length > 1 ? [parts.join(', ')] : [])].join(': ');
}

/** `decode 210 W, prefill 300 W, 3.10 J per new token (nvml)`. */
function describePower(power: ResultRecord['devicePower'] | null, newTokens: number): string {
  if (!power) return 'not read: neither NVML nor hwmon knows the card';
  const watts = phases.map((phase) => `${phase} ${threeDigits(power[phase].watts)} W`);
  const joules = power.decode.joules + power.prefill.joules;
  return `${watts.join(', ')}, ${threeDigits(joules / newTokens)} J per new token (${power.source})`;
}
