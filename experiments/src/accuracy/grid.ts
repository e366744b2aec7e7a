/** Runs that predictions are held against: strategies, candidates, batches and budgets around the main job's. */

import { type PolicyInput, type StrategyName, UserError } from '@specoffload/engine';

export interface GridPoint {
  readonly strategy: StrategyName;
  readonly prompts: number;
  /** Device and host budget, each as a share of the target's stored bytes. */
  readonly budgetShare: number;
  readonly policy: PolicyInput;
  /** What the policy tries, in words, where candidates do not say it. */
  readonly option?: string;
  /** Its weights come packed without loss. @default as they are stored */
  readonly isPacked?: boolean;
}

/** Points that differ in nothing but the policy compete: among them a planner chooses. */
export function groupOf({ prompts, budgetShare }: GridPoint): string {
  return `${prompts} prompts, budgets ${Math.round(budgetShare * 100)} %`;
}

/** `serial, 4 candidates`. */
export function policyName({ strategy, policy, option }: GridPoint): string {
  if (option !== undefined) return `${strategy}, ${option}`;
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

/**
 * Each of the options that a planner chooses among on a processor, by itself, in the second of the grid's situations.
 */
export function optionsGrid(): readonly GridPoint[] {
  const candidates = 4;
  const point = (
    strategy: StrategyName,
    option: string,
    policy: PolicyInput,
    isPacked = false,
  ): GridPoint => ({
    ...{ strategy, policy, option, prompts: 8, budgetShare: 0.25 },
    ...(isPacked && { isPacked }),
  });
  return [
    point('none', 'packed', {}, true),
    point('serial', 'packed', { candidates }, true),
    point('serial', 'alternates', { candidates, alternates: 4 }),
    point('serial', 'alternates of two', { candidates, alternates: 4, alternateTokens: 2 }),
    point('serial', 'attention on device', { candidates, attention: 'device', cache: 'device' }),
    point('serial', 'tensors that stay', { candidates, residents: 'tensors' }),
    point('serial', 'ahead', { candidates, speculation: 'ahead' }),
    point('ahead', 'outcomes', { candidates, outcomes: 4 }),
    point('specoffload', 'batches join', { candidates, joinBatches: 'yes' }),
    point('none', 'FFNs shared with the host', { hostShare: 0.2 }),
    point('none', 'routed', { experts: 'routed' }),
    point('none', 'cache, foreseen', { experts: 'routed', expertCache: 'lfu', expertPrefetch: 'router' }),
    point('fiddler', 'as published', {}),
    point('apex', 'two layers stay', { pinnedLayers: 2 }),
  ];
}
