/** How fast points of a simulated sweep are predicted and stored, and whether memory stays flat. */

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { publishedPolicy } from '@specoffload/engine';
import { formatBytes, formatSeconds } from '../format.js';
import type { Output } from '../output.js';
import { alignFacts } from '../report.js';
import { runExperiment } from '../sweep/sweep.js';

export interface SweepTimes {
  readonly points: number;
  readonly seconds: number;
  /** Extrapolated. */
  readonly secondsPerTenThousand: number;
  /** Of this process with its threads, after the first tenth of the points and after all. */
  readonly residentBytes: { readonly early: number; readonly late: number };
}

const numPoints = 200;

export async function timeSweep(output: Output, signal: AbortSignal): Promise<SweepTimes> {
  const results = await mkdtemp(join(tmpdir(), 'specoffload-bench-'));
  let early = 0;
  try {
    const outcome = await runExperiment(
      {
        ...{ name: 'bench', question: 'How fast is a sweep?', kind: 'simulated' },
        settings: { machine: 'env1', strategy: 'specoffload', ...publishedPolicy, promptTokens: 437 },
        axes: { acceptance: Array.from({ length: numPoints }, (_, i) => 0.5 + (0.4 * i) / numPoints) },
      },
      {
        ...{ results, signal },
        onProgress: ({ done }) => {
          if (early === 0 && done >= numPoints / 10) early = process.memoryUsage.rss();
        },
      },
    );
    const seconds = outcome.elapsedSeconds;
    const times: SweepTimes = {
      ...{ points: numPoints, seconds, secondsPerTenThousand: (seconds / numPoints) * 10_000 },
      residentBytes: { early, late: process.memoryUsage.rss() },
    };
    output.say(`\nsweep: ${numPoints} points of Mixtral 8x7B, predicted and stored on all cores`);
    const facts = alignFacts([
      ['time', `${formatSeconds(seconds)}; 10,000 would take ${formatSeconds(times.secondsPerTenThousand)}`],
      ['memory', `${formatBytes(early)} after a tenth, ${formatBytes(times.residentBytes.late)} at the end`],
    ]);
    output.say(facts.join('\n'));
    return times;
  } finally {
    await rm(results, { recursive: true, force: true });
  }
}
