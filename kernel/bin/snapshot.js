#!/usr/bin/env node
/** Makes the snapshot that kernels start from; `npm run setup` runs it. */

import { buildSnapshot } from '../dist/server/build-snapshot.js';

await buildSnapshot();
