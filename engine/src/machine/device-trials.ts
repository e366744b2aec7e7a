/** Mishaps and watchers that tests ask a device for. */

import type { PowerOptions } from '@specoffload/native';

/** What is to go wrong with a device, or to be watched, to try what then happens. */
export interface DeviceTrials {
  /** Layers that find mistakes in how the device is used. */
  readonly validates?: boolean;
  /** It does not reach the host pool by itself. */
  readonly refusesImport?: boolean;
  readonly refusesAllocation?: boolean;
  /** Copies and arithmetic share a queue. */
  readonly usesOneFamily?: boolean;
  /** Submissions after which it is lost. */
  readonly losesAfter?: number;
  /** Of its memory, as if there were no more. */
  readonly freeBytes?: number;
  /** Who tells what it draws, in place of whoever does. */
  readonly power?: PowerOptions;
}
