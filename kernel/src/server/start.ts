/** The kernel process: what `node kernel.js CONNECTION_FILE` runs. Jupyter starts it, and so does the runner. */

import { readKernelVersion, readTslabVersion, requireFromKernel } from '../packages.js';
import { readConnectionFile } from '../wire/connection.js';
import { type CellExecutor, type CellFailure, createCellExecutor, describeThrown } from './executor.js';
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
  outliveMistakes(executor, (failure) => {
    streams.flush();
    server.publish('error', { ...failure });
  });
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

/** An interrupt ends the cell; what a promise or a timer fails with that nobody waits for ends nothing, and is shown. */
function outliveMistakes(executor: CellExecutor, publish: (failure: CellFailure) => void): void {
  process.on('SIGINT', () => executor.interrupt());
  process.on('uncaughtException', (error) => publish(describeStray('UncaughtException', error)));
  process.on('unhandledRejection', (reason) => publish(describeStray('UnhandledRejection', reason)));
}

const strays = {
  UncaughtException: 'thrown where no cell waits for it:',
  UnhandledRejection: 'a promise was rejected that nobody awaits:',
} as const;

function describeStray(ename: keyof typeof strays, thrown: unknown): CellFailure {
  const { ename: name, evalue, traceback } = describeThrown(thrown);
  return { ename, evalue: `${name}: ${evalue}`, traceback: [strays[ename], ...traceback] };
}
