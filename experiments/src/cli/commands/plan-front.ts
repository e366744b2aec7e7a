/** `specoffload plan --pareto`: what more throughput costs, a row a policy. */

import { type FrontAim, type FrontPoint, limitsOf, type PlanRequest, planFront } from '@specoffload/engine';
import { displayPath } from '../../paths.js';
import { throughputOf } from '../../plan/certainty.js';
import { describeFront } from '../../plan/describe-front.js';
import { policyFileOf, writePolicyFile } from '../../plan/policy-file.js';
import { UsageError } from '../../terminal/errors.js';
import type { Output } from '../../terminal/output.js';

export interface FrontOptions {
  readonly pareto: readonly FrontAim[];
  /** 1-based: which policy is written. */
  readonly row?: number | undefined;
  readonly out?: string | undefined;
}

export async function planAndShowFront(
  request: PlanRequest,
  { pareto: aims, row = 1, out }: FrontOptions,
  output: Output,
): Promise<void> {
  const startSeconds = performance.now() / 1000;
  const follower = output.follow();
  const front = await planFront({
    ...{ ...request, aims },
    onPart: (done, total) => follower.update(() => `plan: searched under ${done} of ${total} limits`),
  }).finally(() => follower.end());
  output.say(describeFront(front, aims));
  output.say(`\nin ${(performance.now() / 1000 - startSeconds).toFixed(1)} s`);
  output.document({ kind: 'predicted', aims, seeds: front.seeds, rows: front.points.map(documentOf) });
  if (out === undefined) return;
  const chosen = front.points[row - 1];
  if (!chosen) throw new UsageError(`invalid --row: ${row}; the front has ${front.points.length}`);
  const { planned, machine } = chosen;
  await writePolicyFile(out, policyFileOf({ ranked: [planned] }, { ...request, machine }));
  output.say(
    `row ${row} written to ${displayPath(out)}; specoffload run or simulate --policy ${displayPath(out)} with ` +
      `--device-memory ${limitsOf(machine).deviceBytes / 1e6}MB uses it`,
  );
}

function documentOf({ planned, machine, ...costs }: FrontPoint) {
  return {
    ...{ ...costs, interval: throughputOf(planned), deviceBudgetBytes: limitsOf(machine).deviceBytes },
    planned,
  };
}
