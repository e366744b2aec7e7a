import { expect, it } from 'vitest';
import { describeWithout } from '../../../experiments/dist/cli/commands/devices.js';
import { whyNoVulkan } from '../../engine/vulkan.js';
import { callCli } from '../cli.js';

it('lists the processor and every GPU with measured rates, or says why there is none', async () => {
  const { exitCode, stdout, stderr } = await callCli(['devices', '--json']);
  expect(exitCode).toBe(0);
  const { devices, problem } = JSON.parse(stdout);
  expect(problem).toBe(whyNoVulkan);
  expect(devices[0].kind).toBe('cpu');
  expect(devices.length > 1).toBe(whyNoVulkan === null);
  for (const { gpu, rates, facts, kind } of devices) {
    if (gpu?.missing.length > 0) continue;
    const { answerSeconds, ...perSecond } = rates;
    for (const rate of Object.values(perSecond)) expect(rate, kind).toBeGreaterThan(1e6);
    expect(answerSeconds, kind).toBeGreaterThan(0);
    expect(facts.link).toMatch(gpu ? /^(imported|staged)$/ : /^none$/);
  }
  expect(stderr).toMatch(
    /^cpu: .*, kernels for \w+\n {2}copies to it .*B\/s, from it .*B\/s, weights read .*B\/s, products of 256 rows .*FLOP\/s, answers after .* µs$/m,
  );
  if (whyNoVulkan === null)
    expect(stderr).toMatch(/^vulkan: .*\n {2}\w+, driver .*\n {2}queues: .*\n {2}uses /m);
  else expect(stderr).toContain(`no Vulkan: ${whyNoVulkan}`);
});

it('says how a driver goes without what it need not have', () => {
  const families = [{ queues: 2, does: ['compute', 'transfer'] }];
  const features = [
    ...['VK_EXT_external_memory_host', 'VK_EXT_memory_budget', 'VK_EXT_pci_bus_info'],
    ...['VK_EXT_calibrated_timestamps', 'VK_KHR_cooperative_matrix'],
  ];
  expect(describeWithout({ features, families })).toBe('');
  expect(describeWithout({ features: features.slice(1), families: [{ ...families[0]!, queues: 1 }] })).toBe(
    'VK_EXT_external_memory_host (copies pass through staging buffers, and no kernel reads host memory), a second queue (copies wait for arithmetic)',
  );
});
