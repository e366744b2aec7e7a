/** What a point's settings say of the requests that come, as its spec holds it. */

import { UserError } from '@specoffload/engine';
import type { Settings } from '../definitions/definition.js';
import type { Requests } from '../store/index.js';

/** @throws UserError where a reference is given, and not how often requests come */
export function requestsOf({
  requestsPerSecond,
  referenceJoules,
  referenceSeconds,
}: Settings): Requests | undefined {
  if (requestsPerSecond === undefined) {
    if (referenceJoules === undefined && referenceSeconds === undefined) return undefined;
    throw new UserError(
      'referenceJoules and referenceSeconds are of requests that come one by one; say how often with requestsPerSecond',
    );
  }
  return {
    perSecond: requestsPerSecond,
    ...(referenceJoules === undefined ? {} : { referenceJoules }),
    ...(referenceSeconds === undefined ? {} : { referenceSeconds }),
  };
}
