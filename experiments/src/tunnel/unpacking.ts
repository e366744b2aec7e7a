/** What a device takes to unpack weights: nothing paces it in a tunnel, so its share of a pass is said. */

import { type Checkpoint, packedTwin, type SimulationRequest } from '@specoffload/engine';
import { type PassLoads, simulateLoads } from './loads.js';

/**
 * Predicted, of the same pass with its weights packed without loss: what its arithmetic takes longer.
 * @param loads of the request as it is
 * @returns a share of that pass; null where nothing can be packed
 */
export async function unpackingShare(
  request: SimulationRequest,
  loads: PassLoads,
  packed: Checkpoint | null = packedTwin(request.target),
): Promise<number | null> {
  if (packed === null) return null;
  const { deviceSeconds } = await simulateLoads({ ...request, target: packed });
  return Math.max(0, deviceSeconds - loads.deviceSeconds) / loads.passSeconds;
}
