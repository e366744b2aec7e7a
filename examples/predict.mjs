// Predicts two strategies for a model that is not here, on a machine that is not here.

import { simulateRun } from '@specoffload/engine';
import { openMachine, openOrDescribeModel } from '@specoffload/experiments';

const machine = await openMachine(process.argv[2] ?? 'rtx-4090+pcie4+ddr5-dual+nvme4');
const [target, draft] = await Promise.all(
  ['mixtral-8x7b', 'mistral-7b'].map((name) => openOrDescribeModel(name)),
);

for (const strategy of ['none', 'serial']) {
  const { tokensPerSecond, phases } = await simulateRun({
    ...{ target, draft, machine, strategy },
    promptLengths: new Array(32).fill(256),
    maxNewTokens: 16,
    acceptance: { kind: 'rates', name: 'four of five', byPosition: [0.8] },
  });
  const link = phases.decode.lanes.link.utilization;
  console.log(
    `${strategy} on ${machine.name}: ${tokensPerSecond.toFixed(1)} tokens/s, link busy ${(100 * link).toFixed(0)} % of decode`,
  );
}
