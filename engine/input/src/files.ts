/** Files of strangers: only regular ones are opened, and none larger than what its name promises. */

import type { Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { hasCode, reasonOf, UserError } from './errors.js';
import { type JsonLimits, parseJson } from './json.js';
import { printable } from './text.js';

/**
 * Reads and parses a JSON file of at most `maxBytes`; null when there is no such file.
 * @throws UserError when it cannot be read, is larger, nests too deep, or is not JSON.
 */
export async function maybeReadJson(
  path: string,
  maxBytes: number,
  limits: JsonLimits = {},
): Promise<unknown> {
  const text = await maybeReadText(path, maxBytes);
  return text === null ? null : parseJson(text, path, limits, 'download the file again');
}

/**
 * Reads a text file of at most `maxBytes`; null when there is no such file.
 * @throws UserError when it cannot be read, is larger, is no regular file, or is not UTF-8.
 */
export async function maybeReadText(path: string, maxBytes: number): Promise<string | null> {
  const name = printable(path);
  try {
    const { size } = await statFile(path);
    if (size > maxBytes) {
      throw new UserError(
        `${name} has ${size} bytes; expected at most ${maxBytes}; it is not the file its name promises, download it again`,
      );
    }
    return decodeUtf8(await readFile(path), path);
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (hasCode(error, 'ENOENT')) return null;
    throw new UserError(`cannot read ${name} (${reasonOf(error)}); check that it is a readable file`, {
      cause: error,
    });
  }
}

/**
 * Text from bytes; a byte-order mark is no part of it.
 * @param source named in the error: usually the file
 * @throws UserError when the bytes are not UTF-8
 */
export function decodeUtf8(bytes: Uint8Array, source: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new UserError(`${printable(source)} is not UTF-8 text; save it as UTF-8`, { cause: error });
  }
}

/** Stats a file before it is opened: reading a pipe or a device would never end. */
export async function statFile(path: string): Promise<Stats> {
  const stats = await stat(path);
  if (stats.isFile()) return stats;
  throw new UserError(`${printable(path)} is not a regular file; expected one; name another`);
}
