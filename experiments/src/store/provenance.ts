/** Where a record comes from: code, packages and machine. */

import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { loadNativeCore } from '@specoffload/native';
import { projectDirectory } from '../paths.js';
import { readRelease } from '../release.js';
import type { ProvenanceRecord } from './record.js';

/** What computes; the compiler and the test runner leave no mark on a number. */
const packageNames = [
  '@specoffload/engine',
  '@specoffload/native',
  '@huggingface/tokenizers',
  'onnxruntime-node',
];

/** @param checkout whose code runs */
export async function collectProvenance(checkout: string = projectDirectory): Promise<ProvenanceRecord> {
  return {
    ...(await readRelease(checkout)),
    node: process.versions.node,
    packages: await packageVersions(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    kernels: loadNativeCore().probe().kernelLevel,
    memoryBytes: totalmem(),
  };
}

async function packageVersions(): Promise<Record<string, string>> {
  const versions: Record<string, string> = {};
  for (const name of packageNames) {
    try {
      const path = join(projectDirectory, 'node_modules', name, 'package.json');
      versions[name] = (JSON.parse(await readFile(path, 'utf8')) as { version: string }).version;
    } catch {
      versions[name] = 'unknown';
    }
  }
  return versions;
}
