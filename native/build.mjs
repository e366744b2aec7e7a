// Builds native/build/specoffload.node with nothing but a C++17 compiler: no node-gyp, no Python, no download.
// Run it (`node native/build.mjs [--force] [--quiet]`) or import buildNative.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const require = createRequire(import.meta.url);
const sourceDir = fileURLToPath(new URL('./src/cpp/', import.meta.url));
const buildDir = fileURLToPath(new URL('./build/', import.meta.url));
const addonPath = join(buildDir, 'specoffload.node');
const stampPath = join(buildDir, 'stamp');

/** No -ffast-math: NaN, infinities and the order of sums matter. Contraction to fused multiply-add is fine. */
const compileFlags = [
  '-std=c++17',
  '-O3',
  '-ffp-contract=fast',
  '-fPIC',
  '-pthread',
  '-fvisibility=hidden',
  '-Wall',
  '-Wextra',
  '-Wno-maybe-uninitialized', // false alarms inside GCC's own AVX-512 headers
  '-Wno-missing-field-initializers', // Vulkan's structures begin with their type, the rest is zero
  '-Wno-psabi', // vectors never cross a function that is not inlined
  '-DNAPI_VERSION=8',
  '-DNAPI_CPP_EXCEPTIONS',
  // A worker that is ended while it calls the addon cannot take an exception any more: drop it, don't abort.
  '-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
];

/** Devices by Vulkan: built where its headers are (Debian's libvulkan-dev); the loader is found when it runs. */
const vulkanFolder = 'vulkan';
const vulkanFlag = '-DSPECOFFLOAD_VULKAN';

/** nodelete: the last worker thread that ends must not unload code that another thread may still be in. */
const linkFlags = ['-shared', '-pthread', '-ldl', '-Wl,-z,nodelete'];

/** What is compiled once for each level of vector instructions; `kernels.cpp` chooses among the levels when it is loaded. */
const kernelsFolder = 'kernels';

/** Compiled besides where the compiler knows tiles of bf16 (AMX): products for processors that have them. */
const tilesFolder = 'tiles';
const tilesFlag = '-DSPECOFFLOAD_TILES';

/** Vector instructions by level: nobody else's code may use more than every processor of this kind has. */
const levelFlags =
  process.arch === 'x64'
    ? {
        baseline: [],
        avx2: ['-mavx2', '-mfma', '-mf16c'],
        avx512: ['-mavx2', '-mfma', '-mf16c', '-mavx512f', '-mavx512bw', '-mavx512dq', '-mavx512vl'],
      }
    : { baseline: [] };
const tileFlags = ['-mamx-tile', '-mamx-bf16'];

/** What waits for a driver or for Node: to optimise it further takes longer than it ever gives back. */
const waitingFlags = ['-O1'];

/**
 * The kernels of each level.
 *
 * @param {readonly string[]} flags of all sources
 * @param {string} objectDir where units are written
 */
export function kernelUnits(flags, objectDir) {
  const unitOf = (folder, level, levelFlags) =>
    together(level, sourcesIn(folder), [`-DSPECOFFLOAD_LEVEL=${level}`, ...levelFlags], objectDir);
  const units = Object.entries(levelFlags).map(([level, flags]) => unitOf(kernelsFolder, level, flags));
  if (flags.includes(tilesFlag)) units.push(unitOf(tilesFolder, 'amx', [...levelFlags.avx512, ...tileFlags]));
  return units;
}

/** The C++ sources of the core that know nothing of JavaScript, but the kernels; the rest binds them to Node. */
export function coreSources() {
  return sourcesIn('.').filter((path) => !path.endsWith('smoke.cpp') && !bindsToNode(path));
}

function bindsToNode(path) {
  return /#include <napi\.h>|#include "environment\.h"/.test(readFileSync(path, 'utf8'));
}

/** In a folder of the sources. */
function sourcesIn(folder) {
  return readdirSync(join(sourceDir, folder))
    .filter((name) => name.endsWith('.cpp'))
    .sort()
    .map((name) => join(sourceDir, folder, name));
}

/** First compiler that answers, or null: $CXX (which may bring arguments, as in "ccache g++"), then the usual names. */
export function findCompiler() {
  for (const words of [process.env.CXX, 'c++', 'g++', 'clang++']) {
    const [command, ...leadingArgs] = words?.trim().split(/\s+/) ?? [];
    if (!command) continue;
    const { status, stdout } = spawnSync(command, [...leadingArgs, '--version'], { encoding: 'utf8' });
    if (status === 0) return { command, leadingArgs, version: stdout.split('\n', 1)[0] };
  }
  return null;
}

/** What a compiler that finds Vulkan's headers is told. */
function vulkanFlags(compiler) {
  const trial = spawnSync(compiler.command, [...compiler.leadingArgs, '-x', 'c++', '-fsyntax-only', '-'], {
    input: '#include <vulkan/vulkan_core.h>\n#ifndef VK_VERSION_1_3\n#error\n#endif\n',
  });
  return trial.status === 0 ? [vulkanFlag] : [];
}

/** What a compiler that knows tiles of bf16 is told. */
export function tilesFlags(compiler) {
  if (process.arch !== 'x64') return [];
  const args = [...compiler.leadingArgs, '-x', 'c++', '-fsyntax-only', ...tileFlags, '-'];
  const trial = spawnSync(compiler.command, args, {
    input: '#ifndef __AMX_BF16__\n#error\n#endif\n',
  });
  return trial.status === 0 ? [tilesFlag] : [];
}

/** Runs the compiler; rejects with what it printed. */
export function runCompiler(compiler, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(compiler.command, [...compiler.leadingArgs, ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (text) => {
      output += text;
    });
    child.stderr.on('data', (text) => {
      output += text;
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${compiler.command} failed:\n${output}`));
    });
  });
}

function digestOfSources() {
  const hash = createHash('sha256');
  const names = readdirSync(sourceDir, { recursive: true }).filter((name) => /\.(cpp|h)$/.test(name));
  for (const name of names.sort()) {
    hash
      .update(name)
      .update('\0')
      .update(readFileSync(join(sourceDir, name)))
      .update('\0');
  }
  return hash.digest('hex');
}

/** What the addon was built from and for; the same stamp means that it is up to date. */
function createStamp(sources, compiler, flags) {
  const headers = ['node-addon-api', 'node-api-headers'].map(
    (name) => require(`${name}/package.json`).version,
  );
  const { platform, arch, versions } = process;
  const all = [
    ...[sources, compiler, flags, levelFlags, tileFlags, waitingFlags, linkFlags],
    ...[platform, arch, versions.modules, headers],
  ];
  return createHash('sha256').update(JSON.stringify(all)).digest('hex');
}

/** The stamp of the addon that is there, or null. */
function readStamp() {
  return existsSync(addonPath) && existsSync(stampPath) ? readFileSync(stampPath, 'utf8') : null;
}

/** One unit of many sources: to read the headers takes a compiler several times as long as what stands behind them. */
function together(name, paths, flags, objectDir) {
  const path = join(objectDir, `${name}.cpp`);
  writeFileSync(path, paths.map((source) => `#include ${JSON.stringify(source)}\n`).join(''));
  return { path, flags, object: join(objectDir, `${name}.o`) };
}

/** What tells a compiler where Node's headers are. */
function headerFlags() {
  const folders = [
    require('node-api-headers').include_dir,
    require('node-addon-api').include_dir.replaceAll('"', ''),
  ];
  return folders.flatMap((folder) => ['-isystem', folder]);
}

/** Compiles all sources, as many at a time as there are cores, and links them. */
async function compileAndLink(compiler, flags, objectDir, target, packages) {
  const plain = [...kernelUnits(flags, objectDir).reverse(), together('core', coreSources(), [], objectDir)];
  const binding = [
    ...(flags.includes(vulkanFlag)
      ? [together('vulkan', sourcesIn(vulkanFolder), waitingFlags, objectDir)]
      : []),
    together('binding', sourcesIn('.').filter(bindsToNode), waitingFlags, objectDir),
  ];
  const units = [...plain, ...binding];
  const waiting = [...units];
  const compileRest = async () => {
    for (let unit = waiting.shift(); unit !== undefined; unit = waiting.shift()) {
      const isystem = binding.includes(unit) ? await packages.then(headerFlags) : [];
      await runCompiler(compiler, [...flags, ...unit.flags, ...isystem, '-c', unit.path, '-o', unit.object]);
    }
  };
  const cores = availableParallelism();
  // A core is left to those who install the packages until they are there.
  const later = packages.then(() => (cores > 1 ? compileRest() : undefined));
  try {
    await Promise.all([later, ...Array.from({ length: Math.max(1, cores - 1) }, compileRest)]);
  } catch (error) {
    waiting.length = 0; // the others stop after the file they are at
    throw error;
  }
  await runCompiler(compiler, [...units.map(({ object }) => object), ...linkFlags, '-o', target]);
}

/**
 * Builds the addon unless it is up to date. Where there is no compiler, or not Linux, it warns and returns
 * 'skipped': the TypeScript twin takes over. Throws when the compiler fails.
 *
 * @param {{quiet?: boolean, force?: boolean, packages?: Promise<unknown>, onBegin?: () => void}} options `packages` resolves
 *   when they are installed: where nothing is built yet, what needs none of them is compiled while one waits
 * @returns {Promise<'built' | 'current' | 'skipped'>}
 */
export async function buildNative({
  quiet = false,
  force = false,
  packages = Promise.resolve(),
  onBegin = () => {},
} = {}) {
  const say = (line) => {
    if (!quiet) console.error(line);
  };
  const compiler = process.platform === 'linux' ? findCompiler() : null;
  if (!compiler) {
    const reason =
      process.platform === 'linux' ? 'no C++ compiler found' : `not built on ${process.platform}`;
    console.error(`warning: native addon: ${reason}; the slower TypeScript twin takes over`);
    return 'skipped';
  }
  const flags = [...compileFlags, ...vulkanFlags(compiler), ...tilesFlags(compiler)];
  const sources = digestOfSources();
  if (!force && readStamp() !== null) {
    await packages;
    if (readStamp() === createStamp(sources, compiler, flags)) {
      say('native addon: up to date');
      return 'current';
    }
  }
  onBegin();
  say(`native addon: building with ${compiler.version}`);
  mkdirSync(buildDir, { recursive: true });
  // Built aside and renamed into place, so that two builds at once, or a running process, see a whole file.
  const workDir = mkdtempSync(join(buildDir, 'work-'));
  try {
    const built = join(workDir, 'specoffload.node');
    await compileAndLink(compiler, flags, workDir, built, packages);
    rmSync(stampPath, { force: true });
    renameSync(built, addonPath);
    writeFileSync(stampPath, createStamp(sources, compiler, flags));
  } finally {
    rmSync(workDir, { recursive: true, force: true });
  }
  say('native addon: built');
  return 'built';
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const unknown = process.argv.slice(2).filter((arg) => arg !== '--force' && arg !== '--quiet');
  if (unknown.length > 0) {
    console.error(`invalid argument: ${unknown[0]}; expected --force or --quiet`);
    process.exitCode = 2;
  } else {
    try {
      await buildNative({ force: process.argv.includes('--force'), quiet: process.argv.includes('--quiet') });
    } catch (error) {
      console.error(error.message);
      process.exitCode = 1;
    }
  }
}
