/** `specoffload model`: look at a checkpoint, make it bigger, pack it, read its logits. */

import type { Command } from 'commander';
import type { CommandContext } from './common.js';
import { addInflateCommand } from './model-inflate.js';
import { addInspectCommand } from './model-inspect.js';
import { addLogitsCommand } from './model-logits.js';
import { addPackCommands } from './model-pack.js';

export function addModelCommand(program: Command, context: CommandContext): void {
  const model = program.command('model').description('work with a Hugging Face checkpoint directory');
  addInspectCommand(model, context);
  addInflateCommand(model, context);
  addLogitsCommand(model, context);
  addPackCommands(model, context);
}
