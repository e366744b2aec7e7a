/** JSON files written by strangers: bounded reading, and errors that say which file and what to do. */

import type { Stats } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { UserError } from './types.js';

export type JsonRecord = Readonly<Record<string, unknown>>;

export function isRecord(value: unknown): value is JsonRecord {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as it stood in the file, cut short so that it fits into a sentence. */
export function quote(value: unknown): string {
  const text = value === undefined ? 'missing' : (JSON.stringify(value) ?? String(value));
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/**
 * Reads and parses a JSON file of at most `maxBytes`; null when there is no such file.
 * @throws UserError when it cannot be read, is larger, or is not JSON.
 */
export async function maybeReadJson(path: string, maxBytes: number): Promise<unknown> {
  const text = await maybeReadText(path, maxBytes);
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new UserError(`${path} is not valid JSON (${reasonOf(error)}); download the file again`, {
      cause: error,
    });
  }
}

async function maybeReadText(path: string, maxBytes: number): Promise<string | null> {
  try {
    const { size } = await statFile(path);
    if (size > maxBytes) {
      throw new UserError(
        `${path} has ${size} bytes; expected at most ${maxBytes}; it is not the file its name promises, download it again`,
      );
    }
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof UserError) throw error;
    if (hasCode(error, 'ENOENT')) return null;
    throw new UserError(`cannot read ${path} (${reasonOf(error)}); check that it is a readable file`, {
      cause: error,
    });
  }
}

/** Stats a file before it is opened: reading a pipe or a device would never end. */
export async function statFile(path: string): Promise<Stats> {
  const stats = await stat(path);
  if (stats.isFile()) return stats;
  throw new UserError(`${path} is not a regular file; download the checkpoint again`);
}
