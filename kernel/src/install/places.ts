/** Where Jupyter looks for kernels, found without Python. */

import { execFile } from 'node:child_process';
import { homedir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { NotebookError } from '../errors.js';

/** The part of the process that decides it; a test passes its own. */
export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly platform: NodeJS.Platform;
  readonly home: string;
}

export const ownSurroundings: Surroundings = {
  env: process.env,
  platform: process.platform,
  home: homedir(),
};

/** Jupyter's data folder of this user, as `jupyter_core.paths.jupyter_data_dir` finds it. */
export function userDataDirectory({ env, platform, home }: Surroundings): string {
  if (env.JUPYTER_DATA_DIR) return resolve(env.JUPYTER_DATA_DIR);
  if (platform === 'darwin') return join(home, 'Library', 'Jupyter');
  if (platform === 'win32') return join(env.APPDATA || join(home, 'AppData', 'Roaming'), 'jupyter');
  return join(env.XDG_DATA_HOME || join(home, '.local', 'share'), 'jupyter');
}

export function prefixDataDirectory(prefix: string): string {
  return join(resolve(prefix), 'share', 'jupyter');
}

/** Every data folder that Jupyter reads, first come first served. */
export function dataDirectories(surroundings: Surroundings): string[] {
  const { env, platform } = surroundings;
  const given = (env.JUPYTER_PATH ?? '').split(delimiter).filter((path) => path !== '');
  const prefixes = [env.VIRTUAL_ENV, env.CONDA_PREFIX].filter(
    (prefix) => prefix !== undefined && prefix !== '',
  );
  const system =
    platform === 'win32'
      ? [join(env.PROGRAMDATA ?? 'C:\\ProgramData', 'jupyter')]
      : ['/usr/local', '/usr'].map(prefixDataDirectory);
  return [
    ...given.map((path) => resolve(path)),
    userDataDirectory(surroundings),
    ...prefixes.map((prefix) => prefixDataDirectory(prefix!)),
    ...system,
  ];
}

/** `sys.prefix` of the active Python: of the environment that is switched on, else of the python on the path. */
export async function findSysPrefix({ env }: Surroundings): Promise<string> {
  const active = env.VIRTUAL_ENV || env.CONDA_PREFIX;
  if (active) return active;
  for (const python of ['python3', 'python']) {
    try {
      const { stdout } = await promisify(execFile)(python, ['-c', 'import sys; print(sys.prefix)']);
      if (stdout.trim() !== '') return stdout.trim();
    } catch {
      // Not there: the next one.
    }
  }
  throw new NotebookError('no Python environment is active; use --user, or --prefix with its folder');
}
