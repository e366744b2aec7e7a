/** Makes the snapshot: finds out which declarations cells need by reading some, then has Node keep them. */

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { findPackagesDirectory, kernelScript, requireFromKernel } from '../packages.js';
import { createEntry } from '../snapshot/entry.js';
import { snapshotFlag, snapshotFlags, snapshotFolder, snapshotPath } from '../snapshot/place.js';
import { KernelSession } from '../wire/session.js';
import { createCompiler } from './compiler.js';
import { shareLabPackages } from './resolution.js';
import { tslabTypescript } from './typescript.js';

/** What the lab's notebooks import. */
const cell = ['@specoffload/experiments', '@specoffload/kernel', 'danfojs', 'mathjs', 'plotly.js', 'tslab']
  .map((name, index) => `import * as package${index} from '${name}';`)
  .join('\n');

/** Once per process, which must not be a kernel's. */
export async function buildSnapshot(): Promise<void> {
  const path = snapshotPath();
  const declarations = readDeclarations();
  const typescript = requireFromKernel.resolve('@tslab/typescript-for-tslab');
  const text = await readFile(typescript, 'utf8');
  await mkdir(snapshotFolder, { recursive: true });
  const folder = await mkdtemp(join(snapshotFolder, 'build-'));
  try {
    const [entry, blob] = [join(folder, 'entry.cjs'), join(folder, 'blob')];
    await writeFile(
      entry,
      createEntry(
        { text, path: typescript, folder: dirname(typescript) },
        declarations,
        join(findPackagesDirectory(), '@types'),
      ),
    );
    const flags = [...snapshotFlags, snapshotFlag, blob, '--build-snapshot', entry];
    await promisify(execFile)(process.execPath, flags);
    await tryOut(blob);
    await rename(blob, path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  await removeOthers(basename(path));
}

/** What a cell's translation reads of packages: under what name, and where it lies. */
function readDeclarations(): [name: string, path: string][] {
  const paths = new Map<string, string>();
  const packages = findPackagesDirectory();
  shareLabPackages();
  const { sys } = tslabTypescript();
  const { readFile: read } = sys;
  sys.readFile = (name, encoding) => {
    if (/\.d\.[cm]?ts$/.test(name) && name.includes('/node_modules/')) {
      // The lab's own have the names of a folder that does not exist (`nameByPackage`).
      const path = existsSync(name) ? name : join(packages, name.slice('/node_modules'.length));
      if (existsSync(path)) paths.set(name, path);
    }
    return read(name, encoding);
  };
  const compiler = createCompiler();
  compiler.compile(cell);
  compiler.close();
  return [...paths];
}

/** What Node cannot keep in a snapshot it says at times only when it is used. */
async function tryOut(blob: string): Promise<void> {
  const command = [process.execPath, ...snapshotFlags, snapshotFlag, blob, kernelScript, '{connection_file}'];
  const session = await KernelSession.start({ cwd: tmpdir(), command });
  try {
    const { content } = await session.execute(
      "import 'crypto'; import 'worker_threads'; import '@specoffload/kernel';",
    );
    if (content.status !== 'ok') throw new Error(`a cell failed: ${content.ename}: ${content.evalue}`);
  } finally {
    await session.shutdown();
  }
}

async function removeOthers(name: string): Promise<void> {
  for (const other of await readdir(snapshotFolder))
    if (other !== name && other.startsWith(`${process.version}-`)) await rm(join(snapshotFolder, other));
}
