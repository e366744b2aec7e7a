/** Ends this process when the one that started it is gone, even while a cell keeps the event loop busy. */

import { Worker } from 'node:worker_threads';

const watch = `
const { ppid } = process;
setInterval(() => {
  if (process.ppid !== ppid) process.kill(process.pid, 'SIGKILL');
}, 1000);
`;

/** Only where the starter says so, as Jupyter does: a kernel started by hand may be left alone on purpose. */
export function endWithParent(): void {
  if (process.env.JPY_PARENT_PID === undefined) return;
  new Worker(watch, { eval: true, execArgv: [] }).unref();
}
