/** Where a table's numbers come from, in one line: command, code, date, machine, seeds. */

import { digestOf, type Json } from '../store/canonical.js';
import type { ProvenanceRecord, RunRecord } from '../store/index.js';
import { countKinds, describeCode } from './provenance.js';
import type { Subject } from './subject.js';

export interface ReportedBy {
  /** As it was typed. */
  readonly command: string;
  /** Of the code that answers. */
  readonly provenance: Pick<ProvenanceRecord, 'version' | 'commit' | 'dirty'>;
  readonly date: Date;
}

/** More of anything than this are named by how many they are. */
const mostNamed = 6;

export function provenanceLine({ runs }: Subject, { command, provenance, date }: ReportedBy): string {
  const records = runs.map(({ record }) => record);
  const days = records.map(({ createdAt }) => createdAt.slice(0, 10)).sort();
  const made = days[0] === days.at(-1) ? days[0] : `${days[0]} to ${days.at(-1)}`;
  const commits = distinct(records, (record) => describeCode(record.provenance));
  return [
    `${command}, SpecOffload Lab ${describeCode(provenance)}, ${date.toISOString().slice(0, 10)}`,
    `${countKinds(records).join(' and ')} runs of ${made} by ${name('commit', commits)}`,
    name('machine', distinct(records, describeMachine)),
    name(
      'seed',
      distinct(records, ({ seed }) => String(seed)),
    ),
  ].join('; ');
}

/** The digest of all its rates, or, of a measurement, of how it was limited, with the processor. */
function describeMachine({ kind, machine, spec, provenance }: RunRecord): string {
  const told = spec?.machine ?? machine;
  const digest = (typeof told === 'string' ? told : digestOf(told as unknown as Json)).slice(0, 12);
  return kind === 'simulated'
    ? `${machine.name} ${digest}`
    : `${provenance.cpu}, ${provenance.cores} cores, budgets ${digest}`;
}

function distinct(records: readonly RunRecord[], describe: (record: RunRecord) => string): string[] {
  return [...new Set(records.map(describe))].sort(new Intl.Collator('en', { numeric: true }).compare);
}

/** `seeds 1, 2, 3`. */
function name(noun: string, values: readonly string[]): string {
  if (values.length > mostNamed) return `${values.length} ${noun}s from ${values[0]} to ${values.at(-1)}`;
  return `${noun}${values.length === 1 ? '' : 's'} ${values.join(', ')}`;
}
