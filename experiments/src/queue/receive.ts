/** An answer made a run of the sweep's own store, once it was found to be what was asked for. */

import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { parseJson, reasonOf, UserError } from '@specoffload/input';
import { measure } from '../definitions/metrics.js';
import { parseRunRecord, type RunRecord, storeRunAs } from '../store/index.js';
import { isSameRun } from '../sweep/locate.js';
import type { RunEnd } from '../sweep/worker.js';
import { mostAnswerCharacters, type PointMessage, type SentFiles } from './messages.js';

/** @throws UserError for a record of another run */
export async function receiveRecord(
  results: string,
  { location, turn, metric }: Pick<PointMessage, 'location' | 'turn' | 'metric'>,
  { files, isDisturbed }: { readonly files: SentFiles; readonly isDisturbed: boolean },
): Promise<RunEnd> {
  const source = 'a record of the queue';
  const record = parseRunRecord(parseJson(files.record, source), source);
  const { key, point } = location;
  const isIt =
    record.key === key &&
    record.point?.experiment === point.experiment &&
    record.spec !== undefined &&
    isSameRun(location, turn, record.spec);
  if (!isIt) throw new UserError(`${source} is of another run: ${record.key}; expected ${key}`);
  return keep(results, record, files, { metric, isDisturbed });
}

async function keep(
  results: string,
  record: RunRecord,
  { trace, tokens }: SentFiles,
  { metric, isDisturbed }: { readonly metric: string; readonly isDisturbed: boolean },
): Promise<RunEnd> {
  const text = trace === null ? null : await unpack(trace);
  try {
    const isNew = await storeRunAs(results, record.point!.experiment, record, { trace: text, tokens });
    return isNew ? { end: 'stored', value: measure(record, metric), isDisturbed } : { end: 'known' };
  } catch (error) {
    if (error instanceof UserError) return { end: 'unstorable', reason: error.message };
    throw error;
  }
}

async function unpack(base64: string): Promise<string> {
  const limits = { maxOutputLength: 4 * mostAnswerCharacters };
  try {
    return (await promisify(gunzip)(Buffer.from(base64, 'base64'), limits)).toString('utf8');
  } catch (error) {
    throw new UserError(`a timeline of the queue cannot be unpacked: ${reasonOf(error)}`);
  }
}
