/** Whether there is a Vulkan driver to test on, and what its validation layer says. */

import { existsSync } from 'node:fs';
import type { DeviceChoice } from '@specoffload/engine';
import { loadVulkan } from '@specoffload/native';

/** Why there is none; null where there is one (Debian's mesa-vulkan-drivers has one for the processor). */
export const whyNoVulkan: string | null = findReason();

function findReason(): string | null {
  try {
    return loadVulkan().listDevices().length > 0 ? null : 'there is no Vulkan device';
  } catch (error) {
    return (error as Error).message;
  }
}

/** The device, watched by the validation layer where it is installed (Debian's vulkan-validationlayers). */
export const watchedVulkan: DeviceChoice = {
  kind: 'vulkan',
  trials: { validates: existsSync('/usr/share/vulkan/explicit_layer.d/VkLayer_khronos_validation.json') },
};

/** What the layer has found wrong since this was last asked. */
export function validationMessages(): readonly string[] {
  return whyNoVulkan ? [] : loadVulkan().takeMessages();
}
