/** `specoffload notebook install`, `uninstall` and `check`: the kernel in Jupyter's menu. */

import { UserError } from '@specoffload/engine';
import type { CheckItem, KernelPlace } from '@specoffload/kernel';
import { type Command, Option } from 'commander';
import { plural } from '../../terminal/format.js';
import { formatTable } from '../../terminal/table.js';
import { type CommonOptions, outputFor, withCommonOptions } from './common.js';
import { withKernel } from './notebook-common.js';

interface PlaceOptions extends CommonOptions, KernelPlace {
  readonly user?: true;
}

export function addInstallCommand(notebook: Command): void {
  const command = withPlaceOptions(
    notebook.command('install').description('add the kernel to Jupyter (needs no Python)'),
  );
  withCommonOptions(command, 'specoffload notebook install --user').action(async (options: PlaceOptions) => {
    const directory = await withKernel(({ installKernel }) => installKernel(options));
    const output = outputFor(options);
    output.say(`installed in ${directory}; choose "SpecOffload Lab (TypeScript)" in Jupyter`);
    output.document({ directory });
  });
}

export function addUninstallCommand(notebook: Command): void {
  const command = withPlaceOptions(
    notebook.command('uninstall').description('take the kernel out of Jupyter'),
  );
  withCommonOptions(command, 'specoffload notebook uninstall --user').action(
    async (options: PlaceOptions) => {
      const directory = await withKernel(({ uninstallKernel }) => uninstallKernel(options));
      const output = outputFor(options);
      output.say(`removed ${directory}`);
      output.document({ directory });
    },
  );
}

export function addCheckCommand(notebook: Command): void {
  const command = notebook
    .command('check')
    .description('say what is missing to work in notebooks, and what brings it')
    .addOption(nameOption());
  withCommonOptions(command, 'specoffload notebook check').action(async (options: PlaceOptions) => {
    const output = outputFor(options);
    const items = await withKernel(({ checkKernel }) => checkKernel(options.name));
    output.say(describeCheck(items));
    output.document(items);
    const numMissing = items.filter(({ isFine }) => !isFine).length;
    if (numMissing > 0)
      throw new UserError(`${plural(numMissing, 'thing')} missing; the table above says what to do`);
  });
}

function withPlaceOptions(command: Command): Command {
  return command
    .addOption(new Option('--user', 'for this user (the default)').conflicts(['sysPrefix', 'prefix']))
    .addOption(new Option('--sys-prefix', 'into the active Python environment').conflicts('prefix'))
    .option('--prefix <dir>', 'below this folder: DIR/share/jupyter/kernels')
    .addOption(nameOption());
}

function nameOption(): Option {
  return new Option('--name <name>', 'its folder among the kernels (default: specoffload)');
}

function describeCheck(items: readonly CheckItem[]): string {
  return formatTable<CheckItem>(
    [
      { title: 'what', align: 'left', text: ({ name }) => name },
      { title: '', align: 'left', text: ({ isFine }) => (isFine ? 'ok' : 'missing') },
      { title: 'found', align: 'left', text: ({ finding }) => finding },
      { title: 'mend it with', align: 'left', text: ({ remedy }) => remedy ?? '' },
    ],
    items,
  );
}
