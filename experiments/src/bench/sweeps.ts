/** How fast points of a simulated sweep are predicted and stored, and whether memory stays flat. */

import { rm } from 'node:fs/promises';
import { publishedPolicy } from '@specoffload/engine';
import { makeTemporaryFolder } from '@specoffload/input';
import { alignFacts } from '../job/describe-run.js';
import { runExperiment } from '../sweep/sweep.js';
import { formatBytes, formatSeconds } from '../terminal/format.js';
import type { Output } from '../terminal/output.js';

export interface SweepTimes {
  /** Of them all, the first included, which take longer because Node is still compiling. */
  readonly points: number;
  readonly seconds: number;
  /** At the rate of the points behind the first hundred. */
  readonly secondsPerTenThousand: number;
  /** Of this process with its threads, after the first hundred points and after all. */
  readonly residentBytes: { readonly early: number; readonly late: number };
}

/** A hundred points for each length of prompts, so that every hundred is as much work as any other. */
const pointsPerLength = 100;
const acceptances = [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95];
const candidates = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];

/** @param hundreds of points, at least 2 */
export async function timeSweep(hundreds: number, output: Output, signal: AbortSignal): Promise<SweepTimes> {
  const results = await makeTemporaryFolder('bench');
  const { candidates: _swept, ...policy } = publishedPolicy;
  const promptTokens = Array.from({ length: hundreds }, (_, index) => 437 + index);
  const numPoints = hundreds * pointsPerLength;
  const start = performance.now();
  const early = { done: 0, seconds: 0, residentBytes: 0 };
  let late = 0;
  try {
    await runExperiment(
      {
        ...{ name: 'bench', question: 'How fast is a sweep?', kind: 'simulated' },
        settings: { machine: 'env1', target: 'mixtral-8x7b', strategy: 'specoffload', ...policy },
        axes: { promptTokens, acceptance: acceptances, candidates },
      },
      {
        ...{ results, signal },
        onProgress: ({ done }) => {
          late = process.memoryUsage.rss();
          if (early.done === 0 && done >= pointsPerLength)
            Object.assign(early, { done, seconds: secondsSince(start), residentBytes: late });
        },
      },
    );
    const seconds = secondsSince(start);
    const perPoint = (seconds - early.seconds) / (numPoints - early.done);
    const times: SweepTimes = {
      ...{ points: numPoints, seconds, secondsPerTenThousand: 10_000 * perPoint },
      residentBytes: { early: early.residentBytes, late },
    };
    saySweep(times, output);
    return times;
  } finally {
    await rm(results, { recursive: true, force: true });
  }
}

function saySweep({ points, seconds, secondsPerTenThousand, residentBytes }: SweepTimes, output: Output) {
  output.say(`\nsweep: ${points} points of Mixtral 8x7B, predicted and stored on all cores`);
  const { early, late } = residentBytes;
  const facts = alignFacts([
    ['time', `${formatSeconds(seconds)}; 10,000 would take ${formatSeconds(secondsPerTenThousand)}`],
    ['memory', `${formatBytes(early)} after a hundred, ${formatBytes(late)} at the end`],
  ]);
  output.say(facts.join('\n'));
}

function secondsSince(start: number): number {
  return (performance.now() - start) / 1000;
}
