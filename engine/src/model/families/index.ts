/** The families that config.json may name. */

import type { Family } from './family.js';
import { llama } from './llama.js';
import { mistral } from './mistral.js';
import { mixtral } from './mixtral.js';

export const families: readonly Family[] = [mixtral, mistral, llama];
