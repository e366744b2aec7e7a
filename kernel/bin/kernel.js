#!/usr/bin/env node
/** The kernel that Jupyter starts: it has to exist before anything is compiled. */

import { existsSync } from 'node:fs';

const start = new URL('../dist/server/start.js', import.meta.url);
const connectionFile = process.argv[2];
if (!existsSync(start)) fail('not compiled yet; run `npm run setup` in the project first');
else if (connectionFile === undefined)
  fail('expected a connection file; Jupyter and `specoffload notebook run` give one');
else {
  const { startFromSnapshot } = await import('../dist/snapshot/place.js');
  startFromSnapshot();
  const { startKernelProcess } = await import(start.href);
  startKernelProcess(connectionFile).catch((error) => fail(error.message));
}

function fail(message) {
  process.stderr.write(`specoffload kernel: ${message}\n`);
  process.exit(1);
}
