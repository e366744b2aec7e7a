/** Timelines that runs kept beside their records. */

import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { type ParsedTrace, parseChromeTrace } from '@specoffload/engine';
import { decodeUtf8, maybeReadBytes, parseJson, UserError } from '@specoffload/input';
import { displayPath } from '../paths.js';

/** A trace of more, packed or unpacked, is a mistake or an attack. */
const mostPackedBytes = 1 << 26;
const mostTraceBytes = 1 << 28;

const pathIn = (folder: string) => displayPath(join(folder, 'trace.json.gz'));

/** @returns null where the run kept none. @throws UserError when it cannot be read. */
export function readPackedTrace(folder: string): Promise<Buffer | null> {
  return maybeReadBytes(pathIn(folder), mostPackedBytes);
}

/** @throws UserError when it is no trace of ours. */
export async function unpackTrace(folder: string, packed: Buffer): Promise<ParsedTrace> {
  const path = pathIn(folder);
  const remedy = 'remove it, the record stands without';
  const bytes = await promisify(gunzip)(packed, { maxOutputLength: mostTraceBytes }).catch(() => {
    throw new UserError(`${path} is no packed JSON of at most ${mostTraceBytes} bytes; ${remedy}`);
  });
  return parseChromeTrace(parseJson(decodeUtf8(bytes, path), path, {}, remedy), path);
}
