/** What a record says that a GPU did and drew; records of processors, and of earlier versions, have neither. */

import type { DeviceFacts, DevicePower, DeviceUse, PhaseName } from '@specoffload/engine';
import { is, type Schema } from '@specoffload/input';
import { kernelKinds } from '@specoffload/native';
import { fraction, keyed, keyedAtMost } from './words.js';

const { amount, anyText, described, flag, oneOf, orMissing, orNull } = is;

const phases = ['prefill', 'decode'] as const satisfies readonly PhaseName[];

export const deviceRecord = described(
  orMissing(
    is.picked({
      name: described(anyText, '', 'card that computed; null where the processor did'),
      driver: orNull(anyText),
      link: oneOf(['imported', 'staged', 'none']),
      hasCopyQueue: flag,
    }),
  ) satisfies Schema<DeviceFacts | undefined>,
  '',
  'which GPU computed, and how copies reach host memory: it is imported, or they pass through staging buffers; left out: the processor',
);

const queueRecord = (queue: keyof DeviceUse) =>
  orNull(
    keyed(phases, (phase) =>
      is.picked({
        busySeconds: described(
          amount,
          's',
          `of ${phase} that the GPU's ${queue} queue worked, by its own clock`,
        ),
        utilization: described(
          fraction,
          '0 to 1',
          `share of ${phase} that the GPU's ${queue} queue worked, by its own clock`,
        ),
        kernelSeconds: keyedAtMost(kernelKinds, () => amount),
      }),
    ),
  );

export const deviceUseRecord = described(
  orMissing(is.picked({ compute: queueRecord('compute'), copy: queueRecord('copy') })) satisfies Schema<
    DeviceUse | undefined
  >,
  '',
  "how busy a GPU's queues were and with what, by its own clock; a queue is null where it does not tell the time; left out: the processor",
);

export const devicePowerRecord = described(
  orMissing(
    orNull(
      is.picked({
        source: oneOf(['nvml', 'hwmon']),
        ...powerOf(),
      }),
    ),
  ) satisfies Schema<DevicePower | null | undefined>,
  '',
  'what a GPU drew; null: nobody told; left out: the processor',
);

function powerOf() {
  const of = (phase: PhaseName) =>
    is.picked({
      joules: described(amount, 'J', `that the GPU drew in ${phase}`),
      watts: described(amount, 'W', `that the GPU drew on average in ${phase}`),
    });
  return { prefill: of('prefill'), decode: of('decode') };
}
