/** `specoffload report`: an experiment's records as one HTML page that opens anywhere. */

import { join, resolve } from 'node:path';
import { UserError, writeWholeFile } from '@specoffload/input';
import type { Command } from 'commander';
import { readDefinitions } from '../../definitions/stored-definitions.js';
import { defaultResultsDirectory, displayPath } from '../../paths.js';
import { collectProvenance, readRuns, type StoredRun } from '../../store/index.js';
import { aimOf, chooseGenerations, judgeBy, openAsked, parseBaseline } from '../../sweep/aim.js';
import { describeGeneration, type Generation, splitGenerations } from '../../sweep/generations.js';
import { readRecordedSearch } from '../../sweep/recorded-search.js';
import { formatBytes, plural } from '../../terminal/format.js';
import type { Output } from '../../terminal/output.js';
import {
  type CommandContext,
  type CommonOptions,
  outputFor,
  outRemedy,
  withCommonOptions,
} from './common.js';

interface ReportOptions extends CommonOptions {
  readonly out?: string;
  readonly latex?: string;
  readonly pdf?: string;
  readonly metric?: string;
  readonly lowerIsBetter?: true;
  readonly baseline?: Readonly<Record<string, string | number>>;
  readonly generation?: string;
  readonly results: string;
}

export function addReportCommand(program: Command, context: CommandContext): void {
  const command = program
    .command('report')
    .description(
      'an HTML page of an experiment: what it found, figures, timelines, the table, where it comes from',
    )
    .argument('<experiment>', "a folder of the record store, or the definition's file")
    .option('--out <file>', 'the page (default: report.html in the folder of the experiment)')
    .option(
      '--latex <file>',
      'tables for a paper as well: points and effects, by booktabs, with their provenance',
    )
    .option('--pdf <file>', 'the page printed as well, by the Chromium of this machine')
    .option(
      '--metric <column>',
      "what is compared (default: the definition's as it is stored, else tokensPerSecond)",
    )
    .option('--lower-is-better', 'of the metric')
    .option(
      '--baseline <axis=value>',
      "what others are compared with (default: the definition's as it is stored)",
      parseBaseline,
    )
    .option(
      '--generation <id>',
      'of runs that were asked for with different settings, these (default: the latest)',
    )
    .option('--results <dir>', 'record store', defaultResultsDirectory);
  withCommonOptions(
    command,
    'specoffload report candidates',
    'specoffload report main --baseline strategy=none --out main.html',
    'specoffload report ablation --latex ablation.tex --pdf ablation.pdf',
  ).action((experiment: string, options: ReportOptions) =>
    report(experiment, options, outputFor(options), context.signal),
  );
}

async function report(
  experiment: string,
  options: ReportOptions,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const { results } = options;
  const asked = await openAsked(experiment);
  if (options.pdf !== undefined) await assertBrowser();
  const follower = output.follow();
  follower.update(() => `report: reading ${asked.name}`);
  const stored = await readRuns({ results, experiment: asked.name, onWarning: output.note, signal }).finally(
    () => follower.end(),
  );
  if (stored.length === 0) throw await nothingToReport(asked.name, results);
  const all = splitGenerations(stored, await readDefinitions(results, asked.name, output.note));
  const [generation] = chooseGenerations(all, asked, options.generation) as [Generation];
  const notes = describeOthers(all, generation);
  for (const note of notes) output.note(note);
  const { runs } = generation;
  const aim = { ...judgeBy(await aimOf(asked, generation), options), notes };
  // Only here: the kernel package that figures are drawn with takes its time to load.
  const { createSubject, renderLatex, renderPage } = await import('../../page/index.js');
  const subject = createSubject(runs, aim, options.baseline ? undefined : output.note);
  const search = await readRecordedSearch(join(results, asked.name), output.note);
  const page = await renderPage(subject, output.note, search);
  const path = resolve(options.out ?? join(results, asked.name, 'report.html'));
  signal.throwIfAborted();
  await writeWholeFile(path, page.html, { remedy: outRemedy });
  const bytes = Buffer.byteLength(page.html);
  output.say(
    `${plural(runs.length, 'run')}, ${plural(page.numCharts, 'chart')}, ${plural(page.numTimelines, 'timeline')}, ` +
      `${formatBytes(bytes)}: ${displayPath(path)}`,
  );
  const { latex, pdf } = options;
  if (latex !== undefined) {
    const provenance = await collectProvenance();
    const by = { command: commandOf(asked.name, options), date: new Date(), provenance };
    await writeWholeFile(latex, renderLatex(subject, by), { remedy: 'choose another --latex' });
    output.say(`tables for a paper: ${displayPath(resolve(latex))}`);
  }
  if (pdf !== undefined) {
    const { printPage } = await import('@specoffload/kernel');
    const printed = await printPage(path, { unfinished: '.chart:not([data-drawn])', signal });
    await writeWholeFile(pdf, printed, { remedy: 'choose another --pdf' });
    output.say(`printed: ${displayPath(resolve(pdf))}`);
  }
  output.document({
    experiment: asked.name,
    ...{ path, latex: latex ?? null, pdf: pdf ?? null },
    bytes,
    runs: runs.length,
    charts: page.numCharts,
    timelines: page.numTimelines,
  });
}

async function assertBrowser(): Promise<void> {
  const { findChromium } = await import('@specoffload/kernel');
  if ((await findChromium()) === null)
    throw new UserError(
      'there is no Chromium or Chrome on PATH to print with; install one (Debian: apt-get install chromium), or leave --pdf out and print the page',
    );
}

/** What asks again for the same, wherever its files are. */
function commandOf(name: string, { metric, lowerIsBetter, baseline, generation }: ReportOptions): string {
  const flags = [
    ...(metric === undefined ? [] : [`--metric ${metric}`]),
    ...(lowerIsBetter ? ['--lower-is-better'] : []),
    ...Object.entries(baseline ?? {}).map(([axis, value]) => `--baseline ${axis}=${value}`),
    ...(generation === undefined ? [] : [`--generation ${generation}`]),
    '--latex',
  ];
  return `specoffload report ${name} ${flags.join(' ')}`;
}

/** That other generations lie under the same name, and how to see them. */
function describeOthers(all: readonly Generation[], shown: Generation): string[] {
  if (all.length === 1) return [];
  const others = all.filter((other) => other !== shown).map(describeGeneration);
  return [
    `Shown are runs with one of ${all.length} sets of settings under this name: ${describeGeneration(shown)}; not shown, --generation chooses: ${others.join('; ')}.`,
  ];
}

async function nothingToReport(experiment: string, results: string): Promise<UserError> {
  const known = new Set(
    (await readRuns({ results })).map(({ folder }: StoredRun) => folder.split('/').at(-2)!),
  );
  const hint = known.size > 0 ? `it holds ${[...known].sort().slice(0, 10).join(', ')}` : 'it is empty';
  return new UserError(
    `no run of ${experiment} in ${displayPath(results)}: ${hint}; run specoffload sweep first, or choose another --results`,
  );
}
