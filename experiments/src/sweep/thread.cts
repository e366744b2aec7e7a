/**
 * What the threads of the pool load: hands their tasks to worker.js, which it imports as `experiments/bundle.mjs` wrote it.
 *
 * Piscina loads this file by `require`. Node 20 aborts the whole process when a thread is terminated while it
 * requires an ES module ("v8::Module::IsGraphAsync must be used on an instantiated module"), and a sweep that ends
 * or is interrupted early terminates threads that are still loading. While a thread imports, it can be terminated.
 */

import type { PointTask, RunEnd } from './worker.js' with { 'resolution-mode': 'import' };

const path = '../bundled/worker.js';
const worker: Promise<{ default(task: PointTask): Promise<RunEnd> }> = import(path);

module.exports = async (task: PointTask): Promise<RunEnd> => (await worker).default(task);
