/** How a weight group comes to be where it is used. */

import type { WeightGroup } from '../model/types.js';
import type { PhaseName } from '../trace/types.js';

/** When a group is brought outside the regular stream: after these tasks, unless it turns out that nobody needs it. */
export interface Condition {
  readonly after: readonly number[];
  readonly isUnused?: () => boolean;
  /** The device does not need it: the host computes with the staged weights. */
  readonly isForHost?: () => boolean;
}

/** The tasks that bring one group: the load ends in host memory, null where that is not on the way or the start. */
export interface Arrival {
  readonly load: number | null;
  readonly upload: number;
  /** The one that took the place on the device. */
  readonly holder: number;
  /** Only the device's share of it goes to the device. */
  readonly isShared: boolean;
  /** The host may compute with it: it stays staged until its last user has ended. */
  readonly staysStaged: boolean;
}

/** A group under way: an arrival in the making. */
export interface Carriage {
  readonly group: WeightGroup;
  readonly pass: number;
  readonly phase: PhaseName;
  load: number | null;
  upload: number;
  holder: number;
  readonly isShared: boolean;
  readonly staysStaged: boolean;
}
