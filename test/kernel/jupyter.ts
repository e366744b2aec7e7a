/** Debian's Jupyter with folders of its own, where the kernel is installed and nothing else. */

import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { installKernel } from '../../kernel/src/install/kernelspec.js';
import { kernelCommand } from '../../kernel/src/snapshot/place.js';

/** Why tests with this program cannot run here; null when they can, and in CI, where a missing one must fail them. */
export function missingProgram(program: string, debianPackage: string): string | null {
  return isOnPath(program) || process.env.CI
    ? null
    : `no ${program} on the PATH; apt-get install ${debianPackage} brings it`;
}

export function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

export interface JupyterHome {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  remove(): Promise<void>;
}

/**
 * @param start `as installed`, or `quick`: from the snapshot, which the installed command cannot do before Node 22.15 and
 * which spares a second where the way in which Jupyter starts the kernel is not what is asked about
 */
export async function createJupyterHome(start: 'as installed' | 'quick'): Promise<JupyterHome> {
  const folder = await mkdtemp(join(tmpdir(), 'specoffload-jupyter-'));
  const installed = await installKernel({ prefix: join(folder, 'prefix') });
  if (start === 'quick') await useSnapshot(join(installed, 'kernel.json'));
  const env: NodeJS.ProcessEnv = {
    ...process.env,
    HOME: folder,
    JUPYTER_PATH: join(folder, 'prefix', 'share', 'jupyter'),
  };
  for (const name of ['CONFIG', 'RUNTIME', 'DATA']) {
    env[`JUPYTER_${name}_DIR`] = join(folder, name.toLowerCase());
    await mkdir(join(folder, name.toLowerCase()), { mode: 0o700 });
  }
  return { folder, env, remove: () => rm(folder, { recursive: true, force: true }) };
}

async function useSnapshot(kernelspec: string): Promise<void> {
  const spec = JSON.parse(await readFile(kernelspec, 'utf8'));
  await writeFile(kernelspec, JSON.stringify({ ...spec, argv: kernelCommand(true) }));
}

export interface ProgramResult {
  readonly exitCode: number | null;
  /** Both streams. */
  readonly said: string;
}

export function runProgram(
  program: string,
  args: readonly string[],
  home: JupyterHome,
): Promise<ProgramResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd: home.folder,
      env: home.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => {
        said += text;
      });
    child.on('error', reject);
    child.on('close', (exitCode) => resolve({ exitCode, said }));
  });
}

export interface JupyterServer {
  readonly url: string;
  stop(): Promise<void>;
}

/** Starts one of Jupyter's servers on a free port of this machine alone, and waits until it answers. */
export async function serve(
  program: string,
  home: JupyterHome,
  flags: readonly string[],
): Promise<JupyterServer> {
  const port = await findFreePort();
  const args = ['--no-browser', '--allow-root', '--ip=127.0.0.1', `--port=${port}`, ...flags];
  const server = spawn(program, args, { cwd: home.folder, env: home.env, stdio: 'ignore' });
  const ended = new Promise((resolve) => server.once('exit', resolve));
  const url = `http://127.0.0.1:${port}`;
  await waitForServer(url);
  return {
    url,
    async stop() {
      // Its kernels end with it.
      server.kill('SIGTERM');
      await Promise.race([ended, sleep(20_000)]);
      server.kill('SIGKILL');
    },
  };
}

async function waitForServer(url: string): Promise<void> {
  for (let attempt = 0; attempt < 1200; attempt++) {
    const answer = await fetch(`${url}/api`).catch(() => null);
    if (answer?.ok) return;
    await sleep(100);
  }
  throw new Error(`no server of Jupyter answered at ${url}`);
}

function findFreePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
