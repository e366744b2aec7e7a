/** A sweep as an array of Slurm jobs, each of which runs its share of the points into one common store. */

import { execFile } from 'node:child_process';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { hasCode, makeFolder, reasonOf, UserError, writeWholeFile } from '@specoffload/input';
import { projectDirectory } from '../paths.js';

export interface JobArray {
  readonly experiment: string;
  readonly kind: 'measured' | 'simulated';
  /** What was typed behind `specoffload`, without what is Slurm's. */
  readonly args: readonly string[];
  /** On a file system that all nodes see. */
  readonly results: string;
  readonly tasks: number;
  /** Further options of sbatch. */
  readonly options: readonly string[];
}

/** @throws UserError for what is no list of options */
export function parseSbatchOptions(text: string): string[] {
  const options = text.split(/\s+/).filter((option) => option !== '');
  for (const option of options)
    if (!/^--?[a-zA-Z][\w-]*(?:=[\w.,:@%/+*[\]-]+)?$/.test(option))
      throw new UserError(
        `invalid --sbatch: ${option}; expected options with their values behind =, such as --partition=long --time=2:00:00`,
      );
  return options;
}

/** What is handed to sbatch. The same script again goes on where the first array was. */
export function writeScript({ experiment, kind, args, results, tasks, options }: JobArray): string {
  const folder = join(resolve(results), experiment);
  const log = join(folder, 'slurm-%A_%a.log');
  const cli = join(projectDirectory, 'experiments', 'bin', 'specoffload.js');
  const words = [process.execPath, cli, ...args, '--results', resolve(results)].map(quoteWord);
  const settings = [
    `--job-name=specoffload-${experiment}`,
    `--array=1-${tasks}`,
    `--output=${/\s/.test(folder) ? `"${log}"` : log}`,
    // A node that fails, or is taken away, costs the runs that were under way there.
    '--requeue',
    // What is measured is alone on its machine.
    ...(kind === 'measured' ? ['--exclusive'] : []),
    ...options,
  ];
  return [
    '#!/bin/bash',
    ...settings.map((setting) => `#SBATCH ${setting}`),
    '# Each task runs its share of the points that the common store does not have yet.',
    'set -euo pipefail',
    `cd ${quoteWord(process.cwd())}`,
    `exec ${words.join(' ')} --share "$SLURM_ARRAY_TASK_ID/${tasks}"`,
    '',
  ].join('\n');
}

/** As a shell reads it: one word, whatever is in it. */
function quoteWord(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * Writes the script beside the records and hands it in.
 * @returns the job's number
 * @throws UserError when Slurm is not here, or refuses it
 */
export async function submit(array: JobArray): Promise<string> {
  const path = join(resolve(array.results), array.experiment, 'slurm.sh');
  await makeFolder(join(path, '..'));
  await writeWholeFile(path, writeScript(array));
  try {
    const { stdout } = await promisify(execFile)('sbatch', ['--parsable', path]);
    return stdout.trim().split(';')[0];
  } catch (error) {
    if (hasCode(error, 'ENOENT'))
      throw new UserError(
        `there is no sbatch here; run it on a machine that hands jobs to Slurm: sbatch ${path}`,
      );
    const { stderr = '' } = error as { stderr?: string };
    throw new UserError(`sbatch refuses ${path}: ${stderr.trim().slice(0, 500) || reasonOf(error)}`);
  }
}

/** Flags that are for whoever submits; `true` where a value follows. */
const submittersFlags: Readonly<Record<string, boolean>> = {
  ...{ '--slurm': false, '--tasks': true, '--sbatch': true, '--dry-run': false, '--results': true },
  ...{ '--json': false, '--verbose': false },
};

/** A command line as each task gets it. */
export function argsOfTasks(args: readonly string[]): string[] {
  const kept: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const [flag] = args[index].split('=', 1);
    if (!Object.hasOwn(submittersFlags, flag)) kept.push(args[index]);
    else if (submittersFlags[flag] && !args[index].includes('=')) index += 1;
  }
  return kept;
}
