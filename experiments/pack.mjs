/**
 * `npm run pack [FOLDER]`: one tarball that `npm i -g` installs without a compiler and, on linux-x64, without another
 * download: the compiled workspaces, the native core as built here, and the packages that they need, all bundled
 * (`overrides` of a dependency would not apply, and installing onnxruntime-node would download CUDA).
 */

import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { unusedFiles } from './unused-files.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const readJson = (path) => JSON.parse(readFileSync(join(root, path), 'utf8'));
const { workspaces } = readJson('package.json');

/** Beside `dist`, what of each workspace is needed when it runs, or to build the native core elsewhere. */
const neededOf = {
  native: /^(build\/specoffload\.node|build\.mjs|src\/cpp\/.*|src\/vulkan-shaders\/.*\.spv)$/,
  kernel: /^(bin|assets)\//,
  experiments:
    /^(bin\/.*|machines\/.*|pair\/(?!training\/).*|install\.mjs|unused-files\.mjs|src\/bench\/peers\/.*\.py)$/,
};

/** Of the project itself: what commands read, and what people do. */
const neededOfProject =
  /^(README\.md|CHANGELOG\.md|LICENSE|docs\/[^/]+|examples\/.*|notebooks\/.*|results\/(paper|reference)\/.*)$/;

/** Where things lie in the package, by where they lie here. Package.json is written by `stage`. */
export function packedFiles() {
  const files = new Map();
  for (const path of trackedFiles()) if (neededOfProject.test(path)) files.set(path, path);
  for (const workspace of workspaces) {
    const to = placeOf(workspace);
    for (const path of ['package.json', ...compiled(workspace), ...needed(workspace)])
      files.set(`${workspace}/${path}`, `${to}/${path}`);
  }
  const unused = new Set(unusedFiles(join(root, 'node_modules'), { platform: 'linux', arch: 'x64' }));
  for (const path of packagesThatRun())
    for (const file of filesBelow(path)) {
      const from = `${path}/${file}`;
      if (!unused.has(from.replace(/^node_modules\//, '')) && !/\.map$/.test(file))
        files.set(
          from,
          from.replace(/^(.+?)\/node_modules\//, (_, workspace) => `${placeOf(workspace)}/node_modules/`),
        );
    }
  return files;
}

/** What `package.json` of the tarball says. */
export function packedManifest() {
  const { name, version, description, license, type, engines } = readJson('package.json');
  const experiments = '@specoffload/experiments';
  return {
    ...{ name, version, description, license, type, engines },
    bin: { specoffload: `node_modules/${experiments}/bin/specoffload.js` },
    scripts: { install: `node node_modules/${experiments}/install.mjs` },
    dependencies: { [experiments]: version },
    bundleDependencies: [experiments],
    packedFrom: { commit: git('rev-parse', 'HEAD'), dirty: git('status', '--porcelain', '-uno') !== '' },
  };
}

const placeOf = (workspace) => `node_modules/@specoffload/${workspace.split('/').pop()}`;

/** What of `dist` still has a source, and what is bundled of it. */
function compiled(workspace) {
  const sources = new Set(filesBelow(`${workspace}/src`).map((path) => path.replace(/(\.d)?\.c?ts$/, '')));
  return filesBelow(`${workspace}/dist`)
    .filter(
      (path) =>
        /^bundled\/.*\.js$/.test(path) ||
        (/\.c?(js|d\.ts)$|\.d\.cts$/.test(path) && sources.has(path.replace(/(\.d)?\.c?[jt]s$/, ''))),
    )
    .map((path) => `dist/${path}`);
}

function needed(workspace) {
  const pattern = neededOf[workspace];
  if (pattern === undefined) return [];
  const tracked = trackedFiles(workspace).map((path) => path.slice(workspace.length + 1));
  return [...tracked, 'build/specoffload.node'].filter((path) => pattern.test(path));
}

/** Folders of all packages that the workspaces need when they run, and that are there. */
function packagesThatRun() {
  const { packages } = readJson('package-lock.json');
  const found = new Set();
  const waiting = [...workspaces];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const { dependencies, optionalDependencies } = packages[folder];
    for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
      const path = packageFrom(folder, name);
      if (path === null || packages[path].link || found.has(path)) continue;
      found.add(path);
      waiting.push(path);
    }
  }
  return [...found];
}

/** As Node looks for it: the next `node_modules` above. Null where an optional one is another system's. */
function packageFrom(folder, name) {
  for (let above = folder; above !== '.'; above = dirname(above)) {
    const path = `${above}/node_modules/${name}`;
    if (existsSync(join(root, path))) return path;
  }
  const path = `node_modules/${name}`;
  return existsSync(join(root, path)) ? path : null;
}

/** Not those of packages within it. */
function filesBelow(folder, prefix = '') {
  return readdirSync(join(root, folder, prefix), { withFileTypes: true }).flatMap((entry) => {
    const path = `${prefix}${entry.name}`;
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : filesBelow(folder, `${path}/`);
    return entry.isFile() ? [path] : [];
  });
}

function trackedFiles(folder = '.') {
  return git('ls-files', '-z', folder)
    .split('\0')
    .filter((path) => path !== '' && existsSync(join(root, path)));
}

function git(...args) {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 }).trim();
}

/** Lays the package out in a folder; files are links where that is possible. */
function stage(folder) {
  for (const [from, to] of packedFiles()) {
    const target = join(folder, to);
    mkdirSync(dirname(target), { recursive: true });
    if (to.endsWith('/package.json')) writeFileSync(target, settled(readFileSync(join(root, from), 'utf8')));
    else linkOrCopy(join(root, from), target);
  }
  writeFileSync(join(folder, 'package.json'), `${JSON.stringify(packedManifest(), null, 2)}\n`);
}

/** What install scripts would build or download is here already, and `overrides` are what a package asks for. */
function settled(text) {
  const manifest = JSON.parse(text);
  const { preinstall, install, postinstall, ...scripts } = manifest.scripts ?? {};
  const hasScript = [preinstall, install, postinstall].some((script) => script !== undefined);
  const overridden = readJson('package.json').overrides[manifest.name];
  if (!hasScript && overridden === undefined) return text;
  const dependencies = { ...manifest.dependencies, ...overridden };
  return `${JSON.stringify({ ...manifest, dependencies, scripts, gypfile: false }, null, 2)}\n`;
}

function linkOrCopy(from, to) {
  try {
    linkSync(from, to);
  } catch {
    copyFileSync(from, to);
  }
}

function pack(destination) {
  mkdirSync(destination, { recursive: true });
  const folder = mkdtempSync(join(root, '.setup', 'pack-'));
  try {
    stage(folder);
    const npm = process.env.npm_execpath?.endsWith('.js')
      ? [process.execPath, process.env.npm_execpath]
      : ['npm'];
    const [program, ...args] = [...npm, 'pack', '--json', '--pack-destination', destination];
    const answer = execFileSync(program, args, {
      cwd: folder,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [{ filename, size, unpackedSize, entryCount }] = Object.values(JSON.parse(answer));
    const megabytes = (bytes) => `${Math.round(bytes / 1e6)} MB`;
    console.log(
      `${join(destination, filename)}: ${megabytes(size)}, ${entryCount} files of ${megabytes(unpackedSize)}`,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) pack(resolve(process.argv[2] ?? root));
