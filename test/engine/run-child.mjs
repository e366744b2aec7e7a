/**
 * A run in a process of its own: takes a request as JSON, prints what came of it as JSON, and never calls
 * process.exit, so that anything the run leaves behind keeps the process alive.
 */

import { openCheckpoint, runEngine } from '@specoffload/engine';

const { target, draft, abortAfterPasses, ...request } = JSON.parse(process.argv[2]);
const controller = new AbortController();

try {
  const { outputDigest, newTokens, bytesMoved, passes } = await runEngine({
    ...request,
    target: await openCheckpoint(target),
    draft: draft ? await openCheckpoint(draft) : null,
    signal: controller.signal,
    onProgress: ({ passes: done }) => {
      if (done === abortAfterPasses) controller.abort(new Error('enough'));
    },
  });
  const { maxRSS } = process.resourceUsage(); // KiB
  console.log(
    JSON.stringify({ outputDigest, newTokens, bytesMoved, passes, peakResidentBytes: maxRSS * 1024 }),
  );
} catch (error) {
  console.log(JSON.stringify({ error: error.message }));
}
