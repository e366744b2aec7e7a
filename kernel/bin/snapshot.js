#!/usr/bin/env node
/** Makes the snapshot that kernels start from; `npm run setup` runs it. */

import { buildSnapshot } from '../dist/snapshot/build.js';

await buildSnapshot();
