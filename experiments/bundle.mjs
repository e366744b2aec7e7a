/**
 * Bundles what starts a realm of its own, a process or a thread, into few files: to find, read and link some 300 modules
 * one by one takes most of the time that such a realm needs to start. Libraries stay as they are compiled.
 */

import { readFileSync, rmSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** By the workspace that starts them. They lie in `dist/bundled`, by their own names. */
export const realms = {
  engine: ['run/lane-worker.js', 'machine/isolated-worker.js'],
  experiments: ['cli/main.js', 'sweep/worker.js'],
};

/** Packages that are nothing but their modules; others bring native code, or files that they look for beside themselves. */
const bundledPackages = /^(@specoffload\/.*|@huggingface\/.*|commander|simple-statistics|valibot)$/;

/**
 * What cells of notebooks import, by workspace: a bundle that both share (`kernel/src/server/lab-bundle.ts`). What the
 * kernel has loaded for itself stays apart.
 */
const cellPackages = { engine: 'engine/dist/index.js', experiments: 'experiments/dist/index.js' };
const packagesOfKernel = /^@specoffload\/(input|kernel)$/;
const folderForCells = join(root, 'experiments', 'dist', 'for-cells');

/** What `bundleRealms` writes and others load by name. */
export function bundledFiles() {
  const files = Object.entries(realms).flatMap(([workspace, paths]) =>
    paths.map((path) => join(folderOf(workspace), path.split('/').pop())),
  );
  return [...files, ...Object.keys(cellPackages).map((name) => join(folderForCells, `${name}.js`))];
}

const folderOf = (workspace) => join(root, workspace, 'dist', 'bundled');

export async function bundleRealms() {
  const packages = Object.entries(cellPackages).map(([name, path]) => [name, join(root, path)]);
  await bundle(Object.fromEntries(packages), folderForCells, packagesOfKernel);
  for (const [workspace, paths] of Object.entries(realms))
    await bundle(
      paths.map((path) => join(root, workspace, 'dist', path)),
      folderOf(workspace),
    );
}

/**
 * @param {string[] | Record<string, string>} input modules, each the first of a realm; their bundles have their names
 * @param {RegExp} apart packages that are loaded as they are
 */
export async function bundle(input, folder, apart = /^$/) {
  const { rolldown } = await import('rolldown');
  const made = await rolldown({
    ...{ input, cwd: root, platform: 'node', plugins: [asCompiled(folder)] },
    external: (id) => !/^[./]/.test(id) && (!bundledPackages.test(id) || apart.test(id)),
  });
  rmSync(folder, { recursive: true, force: true });
  const codeSplitting = { groups: [{ name: 'common', minShareCount: 3 }] };
  await made.write({ dir: folder, sourcemap: true, codeSplitting });
  await made.close();
}

/** Modules go on finding files where they themselves lie, relative to the bundle, and stacks lead to their sources. */
function asCompiled(folder) {
  return {
    name: 'as compiled',
    load(path) {
      if (!path.startsWith(root) || !/\/dist\//.test(path) || path.includes('/node_modules/')) return null;
      const place = `new URL(${JSON.stringify(relative(folder, path))}, import.meta.url).href`;
      const code = readFileSync(path, 'utf8').replaceAll('import.meta.url', place);
      return { code, map: JSON.parse(readFileSync(`${path}.map`, 'utf8')) };
    },
  };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await bundleRealms();
