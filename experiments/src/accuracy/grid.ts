/** Runs that predictions are held against: strategies, candidates, batches and budgets around the main job's. */

import { type PolicyInput, type StrategyName, UserError } from '@specoffload/engine';

export interface GridPoint {
  readonly strategy: StrategyName;
  readonly prompts: number;
  /** Device and host budget, each as a share of the target's stored bytes. */
  readonly budgetShare: number;
  readonly policy: PolicyInput;
}

/** Points that differ in nothing but the policy compete: among them a planner chooses. */
export function groupOf({ prompts, budgetShare }: GridPoint): string {
  return `${prompts} prompts, budgets ${Math.round(budgetShare * 100)} %`;
}

/** `serial, 4 candidates`. */
export function policyName({ strategy, policy }: GridPoint): string {
  return policy.candidates === undefined ? strategy : `${strategy}, ${policy.candidates} candidates`;
}

/** The point of the grid with these names. @throws UserError when there is none */
export function pointNamed(group: string, policy: string): GridPoint {
  const point = accuracyGrid(false).find((one) => groupOf(one) === group && policyName(one) === policy);
  if (point) return point;
  throw new UserError(
    `there is no point ${group}, ${policy} in the grid of accuracy; it was measured with another version of the lab, leave it out`,
  );
}

const proposing = ['serial', 'specoffload'] as const;

/** 30 points; `quick` keeps one group of 7. */
export function accuracyGrid(isQuick: boolean): readonly GridPoint[] {
  const situations = isQuick
    ? [{ prompts: 4, budgetShare: 0.25 }]
    : [
        { prompts: 4, budgetShare: 0.25 },
        { prompts: 8, budgetShare: 0.25 },
        { prompts: 8, budgetShare: 0.4 },
        { prompts: 16, budgetShare: 0.25 },
      ];
  const points = situations.flatMap((situation): GridPoint[] => [
    { ...situation, strategy: 'none', policy: {} },
    ...proposing.flatMap((strategy) =>
      [2, 4, 8].map((candidates) => ({ ...situation, strategy, policy: { candidates } })),
    ),
  ]);
  if (isQuick) return points;
  const competitors = ['flexgen', 'accelerate'] as const;
  return [
    ...points,
    ...competitors.map(
      (strategy): GridPoint => ({
        ...{ strategy, prompts: 8, budgetShare: 0.25 },
        policy: strategy === 'flexgen' ? { microBatch: 4 } : {},
      }),
    ),
  ];
}
