/** mathjs on first use, as the one file it bundles for browsers: its 1,300 modules take two seconds to load. */

import { createRequire } from 'node:module';

export function loadMath(): typeof import('mathjs') {
  return createRequire(import.meta.url)('mathjs/lib/browser/math.js') as typeof import('mathjs');
}
