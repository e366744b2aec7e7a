// Sweeps two axes, predicted; the records go to the folder named, and the same command again runs nothing twice.

import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defineExperiment, rank, readRuns, runExperiment } from '@specoffload/experiments';

const results = process.argv[2] ?? (await mkdtemp(join(tmpdir(), 'specoffload-sweep-')));

const experiment = defineExperiment({
  name: 'link-and-candidates',
  question: 'How many candidates are worth verifying behind a slow link, and behind a fast one?',
  kind: 'simulated',
  settings: {
    ...{ machine: 'rtx-4090+pcie4', target: 'llama-3.1-8b', draft: 'llama-3.2-1b', acceptance: 0.8 },
    ...{ strategy: 'serial', deviceMemory: '8GB', prompts: 16, promptTokens: 64, maxNewTokens: 16 },
  },
  axes: { candidates: [2, 4], 'machine.link.bytesPerSecond': ['11GB/s', '26GB/s'] },
});

await runExperiment(experiment, { results });
const runs = await readRuns({ results, experiment: experiment.name });
const points = rank(runs.map(({ record }) => record));
for (const { axes, sample } of points)
  console.log(`${JSON.stringify(axes)}: ${sample.median.toFixed(1)} tokens/s`);
console.log(`records in ${results}`);
