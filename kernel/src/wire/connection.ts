/** Where a kernel listens and how its messages are signed: made up, written to a file, read from one. */

import { randomBytes } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { check, is, maybeReadTextSync, parseJson, type Schema } from '@specoffload/input';
import { NotebookError } from '../errors.js';

export const channelNames = ['shell', 'iopub', 'stdin', 'control', 'hb'] as const;
export type ChannelName = (typeof channelNames)[number];

/** A connection file's fields, as Jupyter names them. */
export interface ConnectionInfo {
  readonly transport: string;
  readonly ip: string;
  readonly shell_port: number;
  readonly iopub_port: number;
  readonly stdin_port: number;
  readonly control_port: number;
  readonly hb_port: number;
  readonly key: string;
  readonly signature_scheme: string;
}

export function addressOf(connection: ConnectionInfo, channel: ChannelName): string {
  const { transport, ip } = connection;
  const separator = transport === 'ipc' ? '-' : ':';
  return `${transport}://${ip}${separator}${connection[`${channel}_port`]}`;
}

/** Five ports of the loopback interface that are free now, and a fresh key. */
export async function createConnection(): Promise<ConnectionInfo> {
  const [shell_port, iopub_port, stdin_port, control_port, hb_port] = await findFreePorts(5);
  return {
    transport: 'tcp',
    ip: '127.0.0.1',
    shell_port: shell_port!,
    iopub_port: iopub_port!,
    stdin_port: stdin_port!,
    control_port: control_port!,
    hb_port: hb_port!,
    key: randomBytes(32).toString('hex'),
    signature_scheme: 'hmac-sha256',
  };
}

/** Readable by this user alone: who has the key can run code in the kernel. */
export async function writeConnectionFile(connection: ConnectionInfo, path: string): Promise<void> {
  await writeFile(path, `${JSON.stringify(connection, null, 2)}\n`, { mode: 0o600, flag: 'wx' });
}

const port = is.wholeFrom(1, 65_535, 'a port from 1 to 65535');
const connectionFile = is.fields({
  ...{ shell_port: port, iopub_port: port, stdin_port: port, control_port: port, hb_port: port },
  ...{ transport: is.anyText, ip: is.anyText, key: is.anyText },
  signature_scheme: is.oneOf(['hmac-sha256']),
}) satisfies Schema<ConnectionInfo>;

const mostBytes = 1 << 20;
const remedy = 'give a connection file that Jupyter wrote';

export function readConnectionFile(path: string): ConnectionInfo {
  const text = maybeReadTextSync(path, mostBytes);
  if (text === null) throw new NotebookError(`there is no connection file ${path}; ${remedy}`);
  return check(connectionFile, parseJson(text, path, {}, remedy), path, { remedy });
}

/** All are held at once, so that no two are the same. */
async function findFreePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listenAnywhere));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

function listenAnywhere(): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => resolve(server));
  });
}
