/** A worker in a process of its own, which a test kills: `node worker-child.mjs QUEUE RESULTS LOCK`. */

import { serve } from '../../../experiments/dist/queue/serve.js';

const [, , queue, results, lockPath] = process.argv;
const ignore = () => {};
await serve({
  ...{ queue, results, lockPath, parallel: 1, label: null, leaseMs: 1000, maxIdleSeconds: 600 },
  output: { say: ignore, note: ignore, stream: ignore, document: ignore },
  ...{ signal: new AbortController().signal, onProgress: ignore },
});
