/** What a record says that its run took. */

import type { Energy, EnergySource } from '@specoffload/engine';
import { is, type Schema } from '@specoffload/input';

const { amount, described, listOf, mapOf, oneOf, orMissing, orNull } = is;

const sources = ['lanes', 'rapl', 'nvml', 'hwmon'] as const satisfies readonly EnergySource[];

export const energyRecord = described(
  orMissing(
    orNull(
      is.picked({
        sources: described(
          listOf(oneOf(sources)),
          '',
          "who told: a machine file's power of its lanes, or counters",
        ),
        joules: described(amount, 'J', 'energy of prefill and decode, of the parts that are counted'),
        joulesPerToken: described(amount, 'J', 'joules / newTokens'),
        phases: is.picked({ prefill: amount, decode: amount }),
        parts: described(mapOf(amount), 'J', 'what is counted, and how much of it'),
      }),
    ),
  ) satisfies Schema<Energy | null | undefined>,
  '',
  'null: no counter could be read; left out: the machine does not say what it draws, or the record is of an earlier version',
);
