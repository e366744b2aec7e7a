/** What the system says when it cannot do something with a file, as people put it. */

import { isError, UserError } from './errors.js';
import { printable } from './text.js';

interface Cause {
  readonly what: string;
  readonly remedy: string;
}

const full: Cause = { what: 'no space is left', remedy: 'free some, or choose another place' };
const forbidden: Cause = {
  what: 'permission denied',
  remedy: 'mend its permissions, or choose another place',
};
const broken: Cause = {
  what: 'the disk reported an error',
  remedy: 'check the disk, or choose another place',
};

/** By the code of the system call; each remedy serves readers and writers alike. */
const causes: Readonly<Record<string, Cause>> = {
  EACCES: forbidden,
  EBUSY: { what: 'something else uses it', remedy: 'try again later' },
  EDQUOT: full,
  EEXIST: { what: 'something of that name is in the way', remedy: 'remove it, or choose another name' },
  EFBIG: {
    what: 'it would be larger than the system allows',
    remedy: 'raise the limit (ulimit -f), or choose another place',
  },
  EINVAL: { what: 'the system does not do that here', remedy: 'choose another place' },
  EIO: broken,
  EISDIR: { what: 'it is a folder', remedy: 'name a file' },
  ELOOP: { what: 'its links lead in a circle', remedy: 'remove the link' },
  EMFILE: { what: 'too many files are open', remedy: 'raise the limit (ulimit -n), or run less at once' },
  EMLINK: { what: 'it has too many links', remedy: 'choose another place' },
  ENAMETOOLONG: { what: 'its name is too long', remedy: 'choose a shorter one' },
  ENFILE: { what: 'too many files are open on this machine', remedy: 'close other programs' },
  ENODEV: { what: 'there is no such device', remedy: 'choose another place' },
  ENOENT: { what: 'there is no such file or folder', remedy: 'check the name' },
  ENOMEM: { what: 'the system is out of memory', remedy: 'close other programs' },
  ENOSPC: full,
  ENOTDIR: { what: 'a part of its path is no folder', remedy: 'check the name' },
  ENOTEMPTY: { what: 'it is not empty', remedy: 'choose another name' },
  ENXIO: { what: 'nobody is at its other end', remedy: 'choose another place' },
  EPERM: forbidden,
  EPIPE: { what: 'nobody reads it any more', remedy: 'keep the reader open' },
  EROFS: { what: 'it lies on a file system that is read-only', remedy: 'choose another place' },
  ESTALE: { what: 'the file system lost it', remedy: 'mount it again, or choose another place' },
  ETXTBSY: { what: 'it is being run', remedy: 'try again later' },
  EXDEV: { what: 'it lies on another file system', remedy: 'choose a place on the same one' },
};

/** What people call what a system call does. */
const deeds: Readonly<Record<string, string>> = {
  ...{ access: 'read', copyfile: 'copy', fstat: 'look at', lstat: 'look at', stat: 'look at' },
  ...{ mkdir: 'make the folder', mkdtemp: 'make a temporary folder', opendir: 'list', scandir: 'list' },
  ...{ readlink: 'follow the link', rm: 'remove', rmdir: 'remove', unlink: 'remove' },
  ...{ fsync: 'flush', ftruncate: 'cut', uv_cwd: 'find the folder that the command runs in' },
};

/** A thread starts with files of its own; Node hides the system's answer in its words. */
const threadFailure = /^Worker initialization failure: (E[A-Z]+)$/;

/** `EMFILE: too many open files, open '/x'`: what is left of a failure that came from a thread. */
const relayedFailure = /^(E[A-Z]+): [a-z -]+, (\w+)(?: '(.*)')?$/s;

interface Failure {
  readonly code: string;
  readonly syscall: string;
  readonly path: string;
}

function failureOf(error: Error): Failure | null {
  if (isSystemError(error)) {
    const { code = '', syscall = 'do something', path = '' } = error;
    return { code, syscall, path };
  }
  const [, ofThread] = threadFailure.exec(error.message) ?? [];
  if (ofThread !== undefined) return { code: ofThread, syscall: 'start a thread', path: '' };
  const [, code, syscall, path = ''] = relayedFailure.exec(error.message) ?? [];
  return code === undefined ? null : { code, syscall, path };
}

/** Whether a call to the system failed, as opposed to the program. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return isError(error) && 'code' in error && 'syscall' in error && typeof error.code === 'string';
}

const impossibleName = 'no file can have a name with a null character; check the name';

/** Node refuses it before the system sees it. */
function isImpossibleName(error: unknown): boolean {
  return (
    isError(error) &&
    (error as NodeJS.ErrnoException).code === 'ERR_INVALID_ARG_VALUE' &&
    error.message.includes('null bytes')
  );
}

/**
 * `cannot write results/x: no space is left (ENOSPC); free some, or choose another place`; what is no failure of the
 * system as it is.
 * @param doing `write results/x`; where it is left out, what the system says was tried
 */
export function explainSystemError(error: unknown, doing?: string, remedy?: string): unknown {
  const failure = isError(error) ? failureOf(error) : null;
  if (failure === null)
    return isImpossibleName(error) ? new UserError(impossibleName, { cause: error }) : error;
  const { code, syscall, path } = failure;
  const cause = Object.hasOwn(causes, code)
    ? causes[code]
    : { what: 'the system refused', remedy: 'try another place' };
  const deed = Object.hasOwn(deeds, syscall) ? deeds[syscall] : syscall;
  return new UserError(
    `cannot ${doing ?? `${deed} ${path}`.trimEnd()}: ${cause.what} (${printable(code)}); ${remedy ?? cause.remedy}`,
    { cause: error },
  );
}
