/** Predicted against measured, on this machine: strategies, candidates, batches and budgets around the main job's. */

import { accuracyGrid, type GridPoint, groupOf, policyName } from '../../accuracy/grid.js';
import { type Case, type Choice, defineExperiment } from '../../definitions/definition.js';

const targetBytes = 2e9;

function choicesOf(grid: readonly GridPoint[], labelOf: (point: GridPoint) => string): Choice[] {
  return [...new Set(grid.map(labelOf))].map((label) => ({ label, settings: {} }));
}

const grid = accuracyGrid(false);
const quickGrid = accuracyGrid(true);

/** What a point of the grid asks for; the axes only name it. */
const cases: Case[] = grid.map((point) => ({
  when: { situation: groupOf(point), policy: policyName(point) },
  settings: {
    ...{ strategy: point.strategy, prompts: point.prompts, ...point.policy },
    deviceMemory: targetBytes * point.budgetShare,
    hostMemory: targetBytes * point.budgetShare,
  },
}));

/** Competitors run in one situation only. */
const competitors = ['flexgen', 'accelerate'];
const situation = groupOf(grid.find(({ strategy }) => competitors.includes(strategy))!);

export const prediction = defineExperiment({
  name: 'prediction',
  question: 'How far from what is measured here is what is predicted?',
  kind: 'measured',
  settings: { target: 'pair:2GB', draft: 'pair', workload: 'prose', maxNewTokens: 12 },
  axes: { situation: choicesOf(grid, groupOf), policy: choicesOf(grid, policyName) },
  cases,
  filters: [
    `not (${competitors.map((name) => `policy == "${name}"`).join(' or ')}) or situation == "${situation}"`,
  ],
  predictOn: 'this',
  repeats: 3,
  baseline: { policy: 'none' },
  quick: {
    settings: { target: 'pair:400MB', maxNewTokens: 4 },
    axes: { situation: choicesOf(quickGrid, groupOf), policy: choicesOf(quickGrid, policyName) },
    repeats: 1,
  },
});
