/** The kernel process: what `node kernel.js CONNECTION_FILE` runs. Jupyter starts it, and so does the runner. */

import { readKernelVersion, readTslabVersion, requireFromKernel } from '../packages.js';
import { readConnectionFile } from '../wire/connection.js';
import { type CellExecutor, createCellExecutor } from './executor.js';
import { createHandler } from './handler.js';
import { endWithParent } from './parent.js';
import { shareLabPackages, tslabTypescript } from './resolution.js';
import { KernelServer } from './server.js';
import { catchStreams } from './streams.js';

export async function startKernelProcess(connectionFile: string): Promise<void> {
  endWithParent();
  const server = await KernelServer.bind(readConnectionFile(connectionFile));
  shareLabPackages();
  const executor = createCellExecutor(process.cwd());
  const handler = createHandler(executor, {
    kernel: readKernelVersion(),
    node: process.versions.node,
    tslab: readTslabVersion(),
    typescript: tslabTypescript().version,
  });
  const streams = catchStreams(process, (name, text) => server.publish('stream', { name, text }));
  connectDisplay((type, content) => {
    streams.flush();
    server.publish(type, content);
  });
  outliveMistakes(executor);
  await server.serve(handler, streams);
  executor.close();
  process.exit(0);
}

/** tslab's `display` writes to whatever function its Jupyter module holds at the time. */
function connectDisplay(publish: (type: string, content: Record<string, unknown>) => void): void {
  const jupyter = requireFromKernel('tslab/dist/jupyter.js') as {
    lastWriteDisplayData: (data: object, isUpdate?: boolean) => void;
  };
  jupyter.lastWriteDisplayData = (data, isUpdate) =>
    publish(isUpdate === true ? 'update_display_data' : 'display_data', { ...data });
}

/** An interrupt ends the cell, and a promise that a cell forgot ends nothing. */
function outliveMistakes(executor: CellExecutor): void {
  process.on('SIGINT', () => executor.interrupt());
  process.on('uncaughtException', (error) => console.error('Uncaught exception:', error));
  process.on('unhandledRejection', (reason) => console.error('Unhandled rejection:', reason));
}
