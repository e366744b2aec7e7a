/** What a sweep needs of whatever runs its points: predictions on a pool of threads, or measurements one by one. */

import type { Point } from '../definitions/expand.js';
import type { RunLocation, RunSpec, Turn } from '../store/index.js';
import type { RunEnd } from './worker.js';

export interface PointRunner {
  /** Runs that are under way at once. */
  readonly width: number;
  /** Opens what the point refers to. @throws UserError */
  specOf(point: Point): Promise<RunSpec>;
  /** Called once, before the first run of a session that has any. */
  prepare(first: Point): Promise<void>;
  run(location: RunLocation, turn: Turn): Promise<RunEnd>;
  /** Lets runs under way end early. */
  stop(): void;
  close(): Promise<void>;
}
