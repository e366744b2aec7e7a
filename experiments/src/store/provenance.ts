/** Where a record comes from: code, packages and machine. */

import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { loadNativeCore } from '@specoffload/native';
import { projectDirectory } from '../paths.js';
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
  const git = (...args: string[]) => askGit(checkout, args);
  const commit = await git('rev-parse', 'HEAD');
  const changes = commit === null ? null : await git('status', '--porcelain', '--untracked-files=no');
  return {
    commit,
    dirty: changes === null ? null : changes !== '',
    node: process.versions.node,
    packages: await packageVersions(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    kernels: loadNativeCore().probe().kernelLevel,
    memoryBytes: totalmem(),
  };
}

/** null where git or the checkout is missing. */
async function askGit(cwd: string, args: readonly string[]): Promise<string | null> {
  try {
    const { stdout } = await promisify(execFile)('git', ['--no-optional-locks', ...args], { cwd });
    return stdout.trim();
  } catch {
    return null;
  }
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
