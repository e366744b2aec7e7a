/** Files that are whole or not there: written aside, flushed, then renamed into place. */

import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, mkdtemp, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { hasCode, UserError } from './errors.js';
import { explainSystemError } from './system.js';

export interface WriteOptions {
  /** What to do about a place that cannot be written. @default what helps against the system's reason */
  readonly remedy?: string;
  /** Refuses devices and pipes: for what is written again and again. @default false */
  readonly isFile?: boolean;
}

/**
 * Writes a file, its folder too, so that readers see the old content or the new one, whole. A link stays a link: what
 * it leads to is replaced. A device, a pipe or an open descriptor, such as /dev/stdout, is written to as it is.
 * @throws UserError saying why not; what was there before is then still there, and nothing lies beside it
 */
export async function writeWholeFile(
  path: string,
  content: string | Uint8Array,
  { remedy, isFile = false }: WriteOptions = {},
): Promise<void> {
  try {
    const place = await findPlace(path, isFile, remedy);
    if (place.isDevice) await writeDevice(place.path, content);
    else await replaceFile(place.path, content);
  } catch (error) {
    throw explainSystemError(error, `write ${path}`, remedy);
  }
}

/** A block: a disk that is full is found too. */
const trialText = ' '.repeat(4096);

/**
 * Refuses early what could not be written after minutes of work: tries to, and takes the file away again, not its
 * folder.
 * @throws UserError as {@link writeWholeFile}
 */
export async function assertCanWrite(
  path: string,
  { remedy, isFile = false }: WriteOptions = {},
): Promise<void> {
  try {
    const place = await findPlace(path, isFile, remedy);
    if (place.isDevice) await (await openDevice(place.path)).close();
    else await withAside(place.path, (file) => file.writeFile(trialText));
  } catch (error) {
    throw explainSystemError(error, `write ${path}`, remedy);
  }
}

/**
 * Makes a folder and those above it. Node's own way never ends where a file system takes no folders and says that
 * there is none, as /proc does.
 * @throws what the system says
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) {
      const parent = dirname(resolve(path));
      if (parent === resolve(path)) throw error;
      await makeFolder(parent); // which may be there by now: somebody else may have made it since
      await mkdir(path).catch((again) => {
        if (!hasCode(again, 'EEXIST')) throw again; // somebody else was faster
      });
    } else if (!(await isFolder(path))) throw error; // also where the system says EEXIST, EROFS or EISDIR of a folder
  }
}

/**
 * A new folder among the system's temporary ones, which whoever asks for it removes.
 * @param purpose what its name begins with
 * @throws UserError saying that TMPDIR chooses another place
 */
export async function makeTemporaryFolder(purpose: string): Promise<string> {
  const parent = tmpdir();
  return mkdtemp(join(parent, `specoffload-${purpose}-`)).catch((error) => {
    const remedy = 'set TMPDIR to a folder that can be written';
    throw explainSystemError(error, `make a temporary folder in ${parent}`, remedy);
  });
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

interface Place {
  readonly path: string;
  /** Nothing that another file could take the place of. */
  readonly isDevice: boolean;
}

const deviceFolders = /^\/(?:dev|proc)\//;

/** Where a file of this name really goes: links are followed, folders refused. */
async function findPlace(path: string, isFile: boolean, remedy?: string): Promise<Place> {
  const refuse = (what: string, usualRemedy: string) =>
    new UserError(`cannot write ${path}: ${what}; ${remedy ?? usualRemedy}`);
  const stats = await stat(path).catch((error) => {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  });
  if (stats === null) {
    const isDangling = await lstat(path).then(
      () => true,
      () => false,
    );
    if (isDangling) throw refuse('it is a link to nothing', 'remove it, or choose another name');
    await makeFolder(dirname(path));
    return { path, isDevice: false };
  }
  if (stats.isDirectory()) throw refuse('it is a folder', 'name a file in it');
  const isDevice = !stats.isFile() || deviceFolders.test(resolve(path));
  if (isDevice && isFile) throw refuse('it is a device or a pipe, no regular file', 'name a file');
  return { path: isDevice ? resolve(path) : await realpath(path), isDevice };
}

async function replaceFile(path: string, content: string | Uint8Array): Promise<void> {
  const mode = await stat(path).then(
    (stats) => stats.mode & 0o777,
    () => null,
  );
  await withAside(path, async (file, aside) => {
    await file.writeFile(content);
    if (mode !== null) await file.chmod(mode).catch(() => {}); // some file systems have no permissions
    await file.sync().catch((error) => {
      if (!hasCode(error, 'EINVAL', 'ENOTSUP', 'ENOSYS')) throw error; // others cannot flush
    });
    await file.close();
    await rename(aside, path);
  });
}

/** Lends a new file beside the one of this name, and takes it away if it is still there. */
async function withAside(
  path: string,
  work: (file: FileHandle, aside: string) => Promise<void>,
): Promise<void> {
  const aside = join(dirname(path), asideName(basename(path)));
  const file = await open(aside, 'wx');
  try {
    await work(file, aside);
  } finally {
    await file.close().catch(() => {}); // closed before, or no reason to hide why the write failed
    await rm(aside, { force: true }).catch(() => {});
  }
}

/** Hidden, and short enough whatever the file's own name is: systems allow 255 bytes. */
function asideName(name: string): string {
  return `.writing-${process.pid}-${randomBytes(4).toString('hex')}-${[...name].slice(0, 40).join('')}`;
}

async function writeDevice(path: string, content: string | Uint8Array): Promise<void> {
  // Opened again, a file that standard output goes to would be written from its start on.
  if (path === '/dev/stdout') return writeStandardOutput(content);
  const file = await openDevice(path);
  try {
    await file.writeFile(content);
  } finally {
    await file.close();
  }
}

/** A pipe that nobody reads would keep whoever opens it waiting for ever: without waiting, the system refuses it. */
async function openDevice(path: string): Promise<FileHandle> {
  const probe = await open(path, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_APPEND);
  try {
    return await open(path, 'a');
  } finally {
    await probe.close();
  }
}

function writeStandardOutput(content: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(content, (error) => (error ? reject(error) : resolve()));
  });
}
