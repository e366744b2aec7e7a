/** What HeteGen and APEX published, and what of it a prediction is held against. */

import { join } from 'node:path';
import type { SimulationResult } from '@specoffload/engine';
import { type Checked, check, is, maybeReadJson, type Schema, UserError } from '@specoffload/input';
import { publishedDirectory } from '../paths.js';

const told = { source: is.text, setting: is.text };
const percents = { leastPercent: is.numberFrom(0, 1000), mostPercent: is.numberFrom(0, 1000) };

const hetegen = is.picked({
  ...told,
  ablation: is.listOf(is.picked({ without: is.text, percentOfFull: is.positive })),
  mostOverFlexGenPercent: is.positive,
});

const apex = is.picked({
  ...told,
  attentionAtBatch4Microseconds: is.picked({ host: is.positive, device: is.positive }),
  gains: is.listOf(is.picked({ machine: is.text, over: is.text, system: is.text, ...percents })),
  gainsByOutputLength: is.listOf(is.picked({ outputTokens: is.text, ...percents })),
});

export type PublishedHetegen = Checked<typeof hetegen>;
export type PublishedApex = Checked<typeof apex>;

/** @throws UserError when the file is missing or lacks a number */
export async function readPublishedHetegen(): Promise<PublishedHetegen> {
  return readPublished('hetegen.json', hetegen);
}

/** @throws UserError when the file is missing or lacks a number */
export async function readPublishedApex(): Promise<PublishedApex> {
  return readPublished('apex.json', apex);
}

async function readPublished<Published>(name: string, schema: Schema<Published>): Promise<Published> {
  const path = join(publishedDirectory, name);
  const json = await maybeReadJson(path, 1 << 20);
  if (json === null) throw new UserError(`there is no ${path}; restore it from the repository`);
  return check(schema, json, path);
}

/**
 * Tokens per second of a server that never runs dry, from a run whose sequences were all there from the start: until the
 * device's own have been written, nobody waits for anybody; and every answer costs reading its prompt once.
 * @param outputTokens of an answer, on average
 */
export function servedTokensPerSecond(
  { spans, phases }: Pick<SimulationResult, 'spans' | 'phases'>,
  numPrompts: number,
  outputTokens: number,
): number {
  const decoded = spans.filter(({ phase }) => phase === 'decode');
  const own = new Set(
    decoded.flatMap(({ kind, lane, pass }) => (kind === 'attention' && lane === 'device' ? [pass] : [])),
  );
  const heads = decoded.filter(({ kind }) => kind === 'head');
  const ends = heads.flatMap(({ pass, endSeconds }) => (own.has(pass) ? [endSeconds] : []));
  const end = ends.reduce((latest, seconds) => Math.max(latest, seconds), 0);
  const written = heads.reduce((sum, { rows, endSeconds }) => sum + (endSeconds <= end ? rows : 0), 0);
  const { seconds } = phases.prefill;
  return 1 / ((end - seconds) / written + seconds / numPrompts / outputTokens);
}
