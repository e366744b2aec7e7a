/** `specoffload runs`: look into the record store. */

import type { Command } from 'commander';
import type { CommandContext } from './common.js';
import { addRunsColumnsCommand } from './runs-columns.js';
import { addRunsDiffCommand } from './runs-diff.js';
import { addRunsExportCommand } from './runs-export.js';
import { addRunsListCommand } from './runs-list.js';
import { addRunsQueryCommand } from './runs-query.js';
import { addRunsRankCommand } from './runs-rank.js';
import { addRunsShowCommand } from './runs-show.js';

export function addRunsCommand(program: Command, context: CommandContext): void {
  const runs = program.command('runs').description('list, show, compare, rank, query and export stored runs');
  addRunsListCommand(runs, context);
  addRunsShowCommand(runs, context);
  addRunsDiffCommand(runs, context);
  addRunsRankCommand(runs, context);
  addRunsQueryCommand(runs, context);
  addRunsExportCommand(runs, context);
  addRunsColumnsCommand(runs, context);
}
