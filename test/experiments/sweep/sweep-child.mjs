/** Runs an experiment in a process of its own, which a test kills: `node sweep-child.mjs DEFINITION RESULTS WORKERS`. */

import { readFile } from 'node:fs/promises';
import { runExperiment } from '../../../experiments/dist/sweep/index.js';

const [, , definition, results, workers] = process.argv;
const outcome = await runExperiment(JSON.parse(await readFile(definition, 'utf8')), {
  ...{ results, workers: Number(workers) },
  // One letter for every beginning and every end of a run.
  onProgress: () => process.stdout.write('.'),
});
const { stored, before, isComplete } = outcome;
process.stdout.write(JSON.stringify({ stored, before, isComplete }));
