/** Where a report's numbers come from: code, machine, models, and how many runs of which kind. */

import { gpuOf, type RunRecord } from '../store/index.js';
import { formatBytes, formatCount } from '../terminal/format.js';
import type { Subject } from './subject.js';

export type Fact = readonly [name: string, texts: readonly string[]];

export function provenanceFacts({ runs }: Subject): Fact[] {
  const records = runs.map(({ record }) => record);
  const times = records.map(({ createdAt }) => createdAt).sort();
  return [
    ['runs', countKinds(records)],
    ['made', [`${times[0]} to ${times.at(-1)}`]],
    ['code', distinctTexts(records, ({ provenance }) => describeCode(provenance))],
    ['target', distinctTexts(records, ({ model }) => describeModel(model.target))],
    ['draft', distinctTexts(records, ({ model }) => (model.draft ? describeModel(model.draft) : 'none'))],
    ['machine', distinctTexts(records, describeMachine)],
    [
      'computed on',
      distinctTexts(records, (record) => {
        const { cpu, cores, kernels, memoryBytes } = record.provenance;
        const gpu = gpuOf(record);
        const level = kernels === undefined ? '' : `, kernels for ${kernels}`;
        return `${cpu}, ${cores} cores${level}, ${formatBytes(memoryBytes)}${gpu === null ? '' : `; ${gpu}`}`;
      }),
    ],
    ['Node', distinctTexts(records, ({ provenance }) => provenance.node)],
    [
      'packages',
      distinctTexts(records, ({ provenance }) =>
        Object.entries(provenance.packages)
          .map(([name, version]) => `${name} ${version}`)
          .join(', '),
      ),
    ],
    ['seeds', distinctTexts(records, ({ seed }) => String(seed))],
  ];
}

export function countKinds(records: readonly RunRecord[]): string[] {
  return (['measured', 'simulated'] as const).flatMap((kind) => {
    const count = records.filter((record) => record.kind === kind).length;
    return count === 0 ? [] : [`${formatCount(count)} ${kind}`];
  });
}

/** More lines than this say only that there are more. */
const mostTexts = 8;

function distinctTexts(records: readonly RunRecord[], describe: (record: RunRecord) => string): string[] {
  const texts = [...new Set(records.map(describe))];
  return texts.length <= mostTexts
    ? texts
    : [...texts.slice(0, mostTexts), `and ${texts.length - mostTexts} more`];
}

export function describeCode({
  version,
  commit,
  dirty: isDirty,
}: Pick<RunRecord['provenance'], 'version' | 'commit' | 'dirty'>): string {
  const release = version === undefined ? '' : `${version}, `;
  if (commit === null) return `${release}outside a git checkout`;
  return `${release}${commit.slice(0, 12)}${isDirty ? ', with uncommitted changes' : ''}`;
}

function describeModel({ name, parameters, bytes, digest }: RunRecord['model']['target']): string {
  return `${name}, ${formatCount(parameters)} parameters, ${formatBytes(bytes)}, digest ${digest.slice(0, 12)}`;
}

function describeMachine({ machine, kind }: RunRecord): string {
  const { deviceBytes, hostBytes } = machine.memory;
  return `${machine.name} (${kind}), device ${formatBytes(deviceBytes)}, host ${formatBytes(hostBytes)}`;
}
