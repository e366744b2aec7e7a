/** All commands of `specoffload`, each from a file of its own, which is loaded when it is needed. */

import { printableLines } from '@specoffload/input';
import { Command } from 'commander';
import { readRelease } from '../release.js';
import type { CommandContext } from './commands/common.js';

type Add = (program: Command, context: CommandContext) => void;

/** By name, in the order of the help page. */
const commands: Readonly<Record<string, () => Promise<Add>>> = {
  start: async () => (await import('./commands/start.js')).addStartCommand,
  run: async () => (await import('./commands/run.js')).addRunCommand,
  chat: async () => (await import('./commands/chat.js')).addChatCommand,
  plan: async () => (await import('./commands/plan.js')).addPlanCommand,
  simulate: async () => (await import('./commands/simulate.js')).addSimulateCommand,
  sweep: async () => (await import('./commands/sweep.js')).addSweepCommand,
  worker: async () => (await import('./commands/worker.js')).addWorkerCommand,
  report: async () => (await import('./commands/report.js')).addReportCommand,
  reproduce: async () => (await import('./commands/reproduce.js')).addReproduceCommand,
  profile: async () => (await import('./commands/profile.js')).addProfileCommand,
  accuracy: async () => (await import('./commands/accuracy.js')).addAccuracyCommand,
  tunnel: async () => (await import('./commands/tunnel.js')).addTunnelCommand,
  runs: async () => (await import('./commands/runs.js')).addRunsCommand,
  devices: async () => (await import('./commands/devices.js')).addDevicesCommand,
  machines: async () => (await import('./commands/machines.js')).addMachinesCommand,
  model: async () => (await import('./commands/model.js')).addModelCommand,
  notebook: async () => (await import('./commands/notebook.js')).addNotebookCommand,
  bench: async () => (await import('./commands/bench.js')).addBenchCommand,
};

/** @param args what was typed: the command that they begin with is the only one there is, without one there are all. */
export async function createProgram(args: readonly string[], context: CommandContext): Promise<Command> {
  const program = new Command('specoffload')
    .description('Speculative decoding inside weight offloading, run for real.')
    .version(asksVersion(args) ? await describeVersion() : '')
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(printableLines(text.replace(/^error: /, 'specoffload: '))),
    })
    .showHelpAfterError('(--help shows the flags and an example)');
  for (const load of neededFor(args)) (await load())(program, { ...context, args });
  return program;
}

function neededFor([first = '']: readonly string[]): readonly (() => Promise<Add>)[] {
  if (asksVersion([first])) return [];
  return Object.hasOwn(commands, first) ? [commands[first]] : Object.values(commands);
}

function asksVersion([first]: readonly string[]): boolean {
  return first === '--version' || first === '-V';
}

/** The version comes first, for whoever reads it by a program. */
async function describeVersion(): Promise<string> {
  const { loadNativeCore } = await import('@specoffload/native');
  const { version, commit, dirty } = await readRelease();
  const core = loadNativeCore();
  const code =
    commit === null ? 'commit unknown' : `commit ${commit.slice(0, 12)}${dirty ? ', with changes' : ''}`;
  const computed = core.kind === 'native' ? `native core ${core.probe().kernelLevel}` : 'no native core';
  return `${version} (${code}), Node ${process.versions.node}, ${computed}`;
}
