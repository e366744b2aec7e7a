/** What runs the points of a sweep: what was asked for, or else this process. */

import { createMeasurementRunner } from './measurements.js';
import type { SweepRequest } from './options.js';
import { createPredictionRunner } from './predictions.js';
import type { PointRunner } from './runner.js';
import type { Shelf } from './shelf.js';

export function openRunner(request: SweepRequest, shelf: Shelf): Promise<PointRunner> {
  const { definition, createRunner } = request;
  const embedded = definition.kind === 'measured' ? createMeasurementRunner : createPredictionRunner;
  return (createRunner ?? embedded)(request, shelf);
}
