/** What a sweep needs of whatever runs its points: this process's threads, measurements one by one, or other machines. */

import type { Point } from '../definitions/expand.js';
import type { PointRecord, RunLocation, Turn } from '../store/index.js';
import type { SweepRequest } from './options.js';
import type { SettledPoint } from './planned-points.js';
import type { QueueState } from './progress.js';
import type { Shelf } from './shelf.js';
import type { RunEnd } from './worker.js';

export type CreateRunner = (request: SweepRequest, shelf: Shelf) => Promise<PointRunner>;

export interface PointRunner {
  /** Runs that are under way at once. */
  readonly width: number;
  /** Opens what the point refers to, and has it planned where it asks for that. @throws UserError */
  settle(point: Point): Promise<SettledPoint>;
  /** Called once, before the first run of a session that has any. */
  prepare(first: PointRecord): Promise<void>;
  run(location: RunLocation, turn: Turn): Promise<RunEnd>;
  /** Tells from time to time who else is at work, where others are. */
  follow?(listener: (queue: QueueState) => void): void;
  /** Lets runs under way end early. */
  stop(): void;
  close(): Promise<void>;
}
