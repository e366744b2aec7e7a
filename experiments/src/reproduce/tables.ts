/** A reproduction as text: sections of tables, for the terminal and for a Markdown file alike. */

import { formatChange, formatShare, formatSigned, threeDigits } from '../terminal/format.js';
import { type Column, formatTable } from '../terminal/table.js';
import { constantNames, definitionOf } from './constants.js';
import { type DiskRun, diskAssumptions } from './disk-run.js';
import { describeHeldOut } from './held-out.js';
import { errorOf, groupBy, type JudgedBar, meanError } from './judge.js';
import { type Bar, modelNames, systemNames } from './reference.js';
import type { Reproduction } from './reproduction.js';

export interface Section {
  readonly title: string;
  /** What the numbers are, one sentence; may be empty. */
  readonly note: string;
  readonly body: string;
}

export function toSections(reproduction: Reproduction): Section[] {
  return [
    ...barSections(reproduction.bars),
    errorSection(reproduction),
    ...heldOutSection(reproduction),
    comparisonSection(reproduction),
    ablationSection(reproduction),
    utilizationSection(reproduction),
    memorySection(reproduction),
    ...diskSection(reproduction),
    constantsSection(reproduction),
    listSection(
      'Why they are as large as they are',
      'one cause each; the bounds are what it allows',
      constantNames.map(explainConstant),
    ),
    listSection(
      'What is odd about the published bars',
      'found in the reference alone',
      reproduction.anomalies,
    ),
    listSection(
      'Where the errors are',
      'series that no shared constant meets',
      worstSeries(reproduction.bars),
    ),
    listSection('What is assumed', 'the paper and its scripts leave it open', reproduction.assumptions),
  ];
}

function barSections(bars: readonly JudgedBar[]): Section[] {
  return [...groupBy(bars, ({ model }) => model)].map(([model, members]) => {
    const systems = systemNames.filter((name) => members.some(({ system }) => system === name));
    const rows = [...groupBy(members, ({ dataset, generationLength }) => `${dataset}\n${generationLength}`)];
    type Row = (typeof rows)[number];
    const columns: Column<Row>[] = [
      { title: 'dataset', align: 'left', text: ([key]) => key.split('\n')[0] },
      { title: 'length', text: ([key]) => key.split('\n')[1] },
      ...systems.map((name) => ({
        title: name,
        text: ([, group]: Row) => {
          const bar = group.find(({ system }) => system === name);
          return bar
            ? `${threeDigits(bar.tokensPerSecond)} ${threeDigits(bar.predicted)} ${formatChange(errorOf(bar)).padStart(5)}`
            : '';
        },
      })),
    ];
    return {
      title: `Throughput, ${model} on ${members[0].environment}`,
      note: 'tokens per second: published, predicted, error',
      body: formatTable(columns, rows),
    };
  });
}

function errorSection({ bars, meanError: all, unseen, alternativeError }: Reproduction): Section {
  const rows = [...modelNames.filter((name) => bars.some(({ model }) => model === name)), null];
  const select = (model: Bar['model'] | null, system: Bar['system'] | null) =>
    bars.filter((bar) => (model ?? bar.model) === bar.model && (system ?? bar.system) === bar.system);
  const cell = (members: readonly JudgedBar[]) =>
    members.length > 0 ? `${(100 * meanError(members)).toFixed(1)} %` : '';
  const columns: Column<(typeof rows)[number]>[] = [
    { title: 'model', align: 'left', text: (model) => model ?? 'all' },
    ...[...systemNames, null].map((system) => ({
      title: system ?? 'all',
      text: (model: (typeof rows)[number]) => cell(select(model, system)),
    })),
  ];
  const lines = [
    formatTable(columns, rows),
    `mean error over ${bars.length} bars: ${(100 * all).toFixed(2)} %, every batch as listed`,
  ];
  if (unseen)
    lines.push(
      `of these, ${unseen.numBars} are of lengths that the fit has not seen: ${(100 * unseen.meanError).toFixed(2)} %`,
    );
  if (alternativeError !== null)
    lines.push(
      `for comparison, if 8x22B on C-Eval was run with half of the listed batches: ${(100 * alternativeError).toFixed(2)} %`,
    );
  return { title: 'Mean error', note: 'mean of |predicted / published - 1|', body: lines.join('\n') };
}

function heldOutSection({ heldOut, bars }: Reproduction): Section[] {
  if (!heldOut || heldOut.length === 0) return [];
  const columns: Column<(typeof heldOut)[number]>[] = [
    { title: 'left out', align: 'left', text: ({ left }) => describeHeldOut(left) },
    { title: 'bars', text: ({ numBars }) => `${numBars}` },
    { title: 'error', text: (test) => `${(100 * test.meanError).toFixed(1)} %` },
  ];
  const over = (tests: typeof heldOut) => {
    const total = tests.reduce((sum, test) => sum + test.numBars, 0);
    const error = tests.reduce((sum, test) => sum + test.numBars * test.meanError, 0) / total;
    return total > 0 ? `${(100 * error).toFixed(1)} %` : 'none';
  };
  const lengths = heldOut.filter(({ left }) => 'generationLength' in left);
  const datasets = heldOut.filter(({ left }) => 'dataset' in left);
  return [
    {
      title: 'Held out',
      note: 'constants fitted without these bars, and without every other figure of that length or dataset',
      body: [
        formatTable(columns, heldOut),
        `each of ${bars.length} bars predicted unseen: by length ${over(lengths)}, by dataset ${over(datasets)}`,
      ].join('\n'),
    },
  ];
}

function comparisonSection({ winners, speedUps }: Reproduction): Section {
  const columns: Column<(typeof speedUps)[number]>[] = [
    { title: 'SpecOffload over', align: 'left', text: ({ over }) => over },
    {
      title: 'models',
      align: 'left',
      text: ({ models }) => (models.length === modelNames.length ? 'all' : 'Mixtral'),
    },
    { title: 'published', text: ({ published }) => `${published.toFixed(2)}x` },
    { title: 'predicted', text: ({ predicted }) => `${predicted.toFixed(2)}x` },
  ];
  const right = winners.groups - winners.wrong.length;
  return {
    title: 'Who wins, and by how much',
    note: 'mean of the ratios of each group of one model, dataset and length',
    body: [
      formatTable(columns, speedUps),
      `the fastest system is right in ${right} of ${winners.groups} groups`,
      ...winners.wrong.map((text) => `  wrong in ${text}`),
    ].join('\n'),
  };
}

function ablationSection({ ablation }: Reproduction): Section {
  const columns: Column<(typeof ablation)[number]>[] = [
    { title: 'model', align: 'left', text: ({ model }) => model },
    { title: 'dataset', align: 'left', text: ({ dataset }) => dataset },
    { title: 'length', text: ({ generationLength }) => `${generationLength}` },
    { title: 'variant', align: 'left', text: ({ variant }) => variant },
    { title: 'published', text: ({ tokensPerSecond }) => threeDigits(tokensPerSecond) },
    { title: 'predicted', text: ({ predicted }) => threeDigits(predicted) },
    { title: 'error', text: (bar) => formatChange(errorOf(bar)) },
  ];
  return { title: 'Ablation', note: 'tokens per second', body: formatTable(columns, ablation) };
}

function utilizationSection({ utilization }: Reproduction): Section {
  const columns: Column<(typeof utilization)[number]>[] = [
    { title: 'system', align: 'left', text: ({ system }) => system },
    {
      title: 'published',
      text: ({ gpuCoreUtilizationPercent }) => `${gpuCoreUtilizationPercent.toFixed(1)} %`,
    },
    { title: 'predicted', text: ({ predicted }) => `${predicted.toFixed(1)} %` },
    {
      title: 'points apart',
      text: ({ gpuCoreUtilizationPercent, predicted }) => formatSigned(predicted - gpuCoreUtilizationPercent),
    },
  ];
  return {
    title: 'GPU utilisation in decode',
    note: "the published values of FlexGen and Fiddler may be swapped: two of the paper's figures disagree",
    body: formatTable(columns, utilization),
  };
}

function memorySection({ memory, memoryRises: rises }: Reproduction): Section {
  const columns: Column<(typeof memory)[number]>[] = [
    { title: 'system', align: 'left', text: ({ system }) => system },
    { title: 'model', align: 'left', text: ({ model }) => model },
    { title: 'GPU memory', text: ({ gpuMemoryGB }) => `${gpuMemoryGB} GB` },
    { title: 'published', text: ({ tokensPerSecond }) => threeDigits(tokensPerSecond) },
    { title: 'predicted', text: ({ predicted }) => threeDigits(predicted) },
  ];
  return {
    title: 'Throughput against GPU memory',
    note: 'tokens per second',
    body: [
      formatTable(columns, memory),
      ...rises.map(
        ({ model, fromGB, toGB, published, predicted }) =>
          `${model}: ${(toGB / fromGB).toFixed(1)} times the memory brings ${formatChange(published)} (published), ${formatChange(predicted)} (predicted)`,
      ),
    ].join('\n'),
  };
}

function diskSection({ diskRuns }: Reproduction): Section[] {
  if (diskRuns.length === 0) return [];
  const columns: Column<DiskRun>[] = [
    { title: 'dataset', align: 'left', text: ({ dataset }) => dataset },
    { title: 'length', text: ({ generationLength }) => `${generationLength}` },
    { title: 'env2, in memory', text: ({ inMemory }) => threeDigits(inMemory) },
    { title: 'env1, from disk', text: ({ fromDisk }) => threeDigits(fromDisk) },
    { title: 'of env2', text: ({ fromDisk, inMemory }) => formatShare(fromDisk / inMemory) },
    { title: 'layers from disk', text: ({ diskLayers, numLayers }) => `${diskLayers} of ${numLayers}` },
    { title: 'env1, direct reads', text: ({ direct }) => threeDigits(direct) },
  ];
  return [
    {
      title: 'Mixtral 8x22B where host memory is short',
      note: 'tokens per second of SpecOffload with its own batches; predicted, nothing is published beside it',
      body: formatTable(columns, diskRuns),
    },
    listSection('What the run from disk assumes', 'the released code has no disk tier', [
      ...diskAssumptions,
      "the last column drops the two assumptions on the page cache: direct reads at the disk's full rate and as many layers in memory as fit, which is what this lab's own policies do and assume",
    ]),
  ];
}

function explainConstant(name: (typeof constantNames)[number]): string {
  const { cause, limit } = definitionOf(name);
  return `${name}: ${cause} (${limit})`;
}

function constantsSection({ constants }: Reproduction): Section {
  const columns: Column<(typeof constantNames)[number]>[] = [
    { title: 'constant', align: 'left', text: (name) => name },
    { title: 'value', text: (name) => compact(constants[name]) },
    { title: 'bounds', text: (name) => definitionOf(name).bounds.map(compact).join(' - ') },
    { title: 'unit', align: 'left', text: (name) => definitionOf(name).unit },
    { title: 'what it is', align: 'left', text: (name) => definitionOf(name).meaning },
  ];
  return {
    title: 'Fitted constants',
    note: 'shared by all bars; bounds are physical',
    body: formatTable(columns, constantNames),
  };
}

/** Systems on one model and dataset whose bars are all missed by a wide margin. */
function worstSeries(bars: readonly JudgedBar[]): string[] {
  const wide = 0.2;
  return [...groupBy(bars, ({ system, model, dataset }) => `${model} ${dataset} ${system}`)]
    .filter(([, members]) => meanError(members) > wide)
    .sort(([, a], [, b]) => meanError(b) - meanError(a))
    .map(
      ([name, members]) =>
        `${name}: ${members.map((bar) => `${formatChange(errorOf(bar))} at ${bar.generationLength}`).join(', ')}`,
    );
}

function listSection(title: string, note: string, items: readonly string[]): Section {
  return { title, note, body: items.length > 0 ? items.map((item) => `- ${item}`).join('\n') : '- nothing' };
}

export function toMarkdown(sections: readonly Section[]): string {
  const parts = sections.map(({ title, note, body }) => {
    const isList = body.startsWith('- ');
    return `## ${title}\n\n${note === '' ? '' : `${note}\n\n`}${isList ? body : `\`\`\`text\n${body}\n\`\`\``}`;
  });
  return `# The published figures, predicted\n\nMade by \`specoffload reproduce\` on a simulated machine.\n\n${parts.join('\n\n')}\n`;
}

export function toText(sections: readonly Section[]): string {
  return sections
    .map(({ title, note, body }) => `${title}${note === '' ? '' : ` (${note})`}\n${body}`)
    .join('\n\n');
}

/** 1.53e+14 as 153e12, 0.0017 as it is. */
function compact(value: number): string {
  if (value < 1e4) return `${Number(value.toPrecision(3))}`;
  const exponent = 3 * Math.floor(Math.log10(value) / 3);
  return `${Number((value / 10 ** exponent).toPrecision(3))}e${exponent}`;
}
