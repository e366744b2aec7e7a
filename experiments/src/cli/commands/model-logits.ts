/** `specoffload model logits`: the last position's logits of each prompt, streamed under a budget like any run. */

import { openCheckpoint, runLogits } from '@specoffload/engine';
import type { Command } from 'commander';
import { loadWorkload } from '../../inputs/prompts.js';
import { plural } from '../../terminal/format.js';
import { type CommandContext, type CommonOptions, outputFor, withCommonOptions } from './common.js';
import { addMachineOptions, type MachineOptions, toMachineSettings } from './machine-options.js';

interface LogitsCommandOptions extends CommonOptions, MachineOptions {
  readonly target: string;
  readonly ids: string;
}

export function addLogitsCommand(model: Command, context: CommandContext): void {
  const command = model
    .command('logits')
    .description("print the logits of each prompt's last position, for comparing with other implementations")
    .requiredOption('--target <dir>', 'checkpoint directory')
    .requiredOption(
      '--ids <file>',
      'prompts as token ids: lines of {"ids": [...]}, or one JSON list of lists',
    );
  addMachineOptions(command);
  withCommonOptions(
    command,
    'specoffload model logits --target experiments/pair/target --ids prompts.jsonl --json',
  ).action(async (options: LogitsCommandOptions) => {
    const machine = toMachineSettings(options);
    const target = await openCheckpoint(options.target);
    const { vocabSize } = target.spec;
    // Ids only: other implementations are given ids too.
    const { prompts } = await loadWorkload(options.ids, null, { size: vocabSize, tokenizer: null });
    const { signal } = context;
    const logits = await runLogits({ target, prompts, machine, signal });
    const output = outputFor(options);
    output.say(`${plural(prompts.length, 'prompt')}; the three best tokens of each:`);
    for (const [i, row] of logits.entries()) output.say(`${i}: ${describeBest(row)}`);
    output.document({
      target: { name: target.name, digest: target.digest },
      vocabSize,
      logits: logits.map((row) => Array.from(row)), // (prompt, vocab)
    });
  });
}

/** `805 (12.31), 17 (11.90), 4 (9.02)`. */
function describeBest(logits: Float32Array): string {
  return [...logits.keys()]
    .sort((a, b) => logits[b] - logits[a])
    .slice(0, 3)
    .map((id) => `${id} (${logits[id].toFixed(2)})`)
    .join(', ');
}
