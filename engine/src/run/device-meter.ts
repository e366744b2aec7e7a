/** What a device's queues did in each phase by the device's own clock, and what it drew meanwhile. */

import { type KernelKind, kernelKinds } from '@specoffload/native';
import { nowSeconds } from '../machine/clock.js';
import type { PowerMeter, QueueName } from '../machine/device.js';
import { type PhaseName, phaseNames } from '../trace/types.js';

/** A queue in one phase. */
export interface QueueUse {
  readonly busySeconds: number;
  /** Of the phase. */
  readonly utilization: number;
  /** Of the time in which it was busy, by what it did; what ran side by side counts as what came first of it. */
  readonly kernelSeconds: Readonly<Partial<Record<KernelKind, number>>>;
}

/** By queue; null where the device does not tell the time on it. */
export type DeviceUse = Readonly<Record<QueueName, Readonly<Record<PhaseName, QueueUse>> | null>>;

export interface PowerUse {
  readonly joules: number;
  readonly watts: number;
}

export interface DevicePower extends Readonly<Record<PhaseName, PowerUse>> {
  /** Who told it. */
  readonly source: NonNullable<PowerMeter['source']>;
}

interface Stretch {
  readonly phase: PhaseName;
  readonly startSeconds: number;
  endSeconds: number;
}

export class DeviceMeter {
  readonly #power: PowerMeter | null;
  /** Seconds by kind, of each queue and phase. */
  readonly #work = new Map<string, Float64Array>();
  readonly #stretches: Stretch[] = [];
  #phase: PhaseName | null = null;

  constructor(power: PowerMeter | null) {
    this.#power = power;
  }

  /** What is done from now on belongs to a phase, or to none. */
  begin(phase: PhaseName | null): void {
    const seconds = nowSeconds();
    const last = this.#stretches.at(-1);
    if (this.#phase && last) last.endSeconds = seconds;
    this.#phase = phase;
    if (phase) this.#stretches.push({ phase, startSeconds: seconds, endSeconds: seconds });
  }

  count(queue: QueueName, kindSeconds: Float64Array): void {
    if (!this.#phase) return;
    const key = `${queue} ${this.#phase}`;
    const sum = this.#work.get(key) ?? new Float64Array(kernelKinds.length);
    for (const kind of sum.keys()) sum[kind] += kindSeconds[kind];
    this.#work.set(key, sum);
  }

  /** Null for a device that does not tell the time on any queue. */
  use(): DeviceUse | null {
    const of = (queue: QueueName) => {
      if (phaseNames.every((phase) => !this.#work.has(`${queue} ${phase}`))) return null;
      return byPhase((phase) => this.#useOf(this.#work.get(`${queue} ${phase}`), this.#secondsOf(phase)));
    };
    const [compute, copy] = [of('compute'), of('copy')];
    return compute || copy ? { compute, copy } : null;
  }

  /** Null where nobody tells. */
  power(): DevicePower | null {
    const { source = null } = this.#power ?? {};
    if (!this.#power || source === null) return null;
    const samples = this.#power.samples();
    if (samples.length < 4) return null;
    return {
      source,
      ...byPhase((phase) => {
        const joules = this.#stretches
          .filter((stretch) => stretch.phase === phase)
          .reduce(
            (sum, { startSeconds, endSeconds }) =>
              sum + joulesAt(samples, endSeconds) - joulesAt(samples, startSeconds),
            0,
          );
        const seconds = this.#secondsOf(phase);
        return { joules, watts: seconds > 0 ? joules / seconds : 0 };
      }),
    };
  }

  close(): void {
    this.#power?.close();
  }

  #secondsOf(phase: PhaseName): number {
    return this.#stretches
      .filter((stretch) => stretch.phase === phase)
      .reduce((sum, { startSeconds, endSeconds }) => sum + endSeconds - startSeconds, 0);
  }

  #useOf(kindSeconds: Float64Array | undefined, seconds: number): QueueUse {
    const kernelSeconds: Partial<Record<KernelKind, number>> = {};
    let busySeconds = 0;
    for (const [kind, name] of kernelKinds.entries()) {
      const spent = kindSeconds?.[kind] ?? 0;
      if (spent > 0) kernelSeconds[name] = spent;
      busySeconds += spent;
    }
    // What was under way when the phase ended counts whole.
    const utilization = seconds > 0 ? Math.min(1, busySeconds / seconds) : 0;
    return { busySeconds, utilization, kernelSeconds };
  }
}

function byPhase<Value>(of: (phase: PhaseName) => Value): Record<PhaseName, Value> {
  return { prefill: of('prefill'), decode: of('decode') };
}

/** @param samples (sample, 2): seconds and joules, at least two, in the order of time */
function joulesAt(samples: Float64Array, seconds: number): number {
  let next = 2;
  while (next < samples.length - 2 && samples[next] < seconds) next += 2;
  const [fromSeconds, fromJoules, toSeconds, toJoules] = samples.subarray(next - 2, next + 2);
  const share = Math.min(1, Math.max(0, (seconds - fromSeconds) / (toSeconds - fromSeconds)));
  return fromJoules + share * (toJoules - fromJoules);
}
