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
import { availableParallelism, cpus } from 'node:os';
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

/** The C++ sources of the core that know nothing of JavaScript; the rest binds them to Node. */
export function coreSources() {
  const names = readdirSync(sourceDir).filter((name) => name.endsWith('.cpp'));
  const bindsToNode = (name) =>
    /#include <napi\.h>|#include "environment\.h"/.test(readFileSync(join(sourceDir, name), 'utf8'));
  return names
    .filter((name) => name !== 'smoke.cpp' && !bindsToNode(name))
    .map((name) => join(sourceDir, name));
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

/** `-march=native` where the compiler knows this CPU, nothing elsewhere. */
export function machineFlags(compiler) {
  const trial = spawnSync(compiler.command, ['-march=native', '-x', 'c++', '-fsyntax-only', '-'], {
    input: '',
  });
  return trial.status === 0 ? ['-march=native'] : [];
}

/** What a compiler that finds Vulkan's headers is told. */
function vulkanFlags(compiler) {
  const trial = spawnSync(compiler.command, [...compiler.leadingArgs, '-x', 'c++', '-fsyntax-only', '-'], {
    input: '#include <vulkan/vulkan_core.h>\n#ifndef VK_VERSION_1_3\n#error\n#endif\n',
  });
  return trial.status === 0 ? [vulkanFlag] : [];
}

/** Sources by their path in the folder of sources. */
function sourceNames(extensions, hasVulkan) {
  const namesIn = (folder) => readdirSync(join(sourceDir, folder)).map((name) => join(folder, name));
  return [...namesIn('.'), ...(hasVulkan ? namesIn(vulkanFolder) : [])]
    .filter((name) => extensions.test(name))
    .sort();
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

/** What the addon was built from and for; the same stamp means that it is up to date. */
function createStamp(compiler, flags) {
  const hash = createHash('sha256');
  for (const name of sourceNames(/\.(cpp|h)$/, true)) {
    hash
      .update(name)
      .update('\0')
      .update(readFileSync(join(sourceDir, name)))
      .update('\0');
  }
  hash.update(JSON.stringify([compiler, flags, linkFlags, cpuIdentity()]));
  hash.update(JSON.stringify([process.platform, process.arch, process.versions.modules]));
  for (const name of ['node-addon-api', 'node-api-headers'])
    hash.update(require(`${name}/package.json`).version);
  return hash.digest('hex');
}

/** CPU model and instruction sets: `-march=native` code runs on no lesser CPU. */
function cpuIdentity() {
  let flags = '';
  try {
    flags = /^(?:flags|Features)\s*:(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1] ?? '';
  } catch {
    // not Linux: the model has to do
  }
  return `${cpus()[0]?.model}${flags}`;
}

/** The stamp of the addon that is there, or null. */
function readStamp() {
  return existsSync(addonPath) && existsSync(stampPath) ? readFileSync(stampPath, 'utf8') : null;
}

/** Compiles all sources, as many at a time as there are cores, and links them. */
async function compileAndLink(compiler, flags, objectDir, target) {
  const includes = [
    require('node-api-headers').include_dir,
    require('node-addon-api').include_dir.replaceAll('"', ''),
  ];
  const names = sourceNames(/\.cpp$/, flags.includes(vulkanFlag)).filter((name) => name !== 'smoke.cpp');
  const objectOf = (name) => join(objectDir, `${name.replaceAll('/', '-')}.o`);
  const waiting = [...names];
  const compileNext = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const isystem = includes.flatMap((dir) => ['-isystem', dir]);
      await runCompiler(compiler, [...flags, ...isystem, '-c', join(sourceDir, name), '-o', objectOf(name)]);
    }
  };
  try {
    await Promise.all(Array.from({ length: Math.min(availableParallelism(), names.length) }, compileNext));
  } catch (error) {
    waiting.length = 0; // the others stop after the file they are at
    throw error;
  }
  await runCompiler(compiler, [...names.map(objectOf), ...linkFlags, '-o', target]);
}

/**
 * Builds the addon unless it is up to date. Where there is no compiler, or not Linux, it warns and returns
 * 'skipped': the TypeScript twin takes over. Throws when the compiler fails.
 *
 * @param {{quiet?: boolean, force?: boolean}} options
 * @returns {Promise<'built' | 'current' | 'skipped'>}
 */
export async function buildNative({ quiet = false, force = false } = {}) {
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
  const flags = [...compileFlags, ...machineFlags(compiler), ...vulkanFlags(compiler)];
  const stamp = createStamp(compiler, flags);
  if (!force && readStamp() === stamp) {
    say('native addon: up to date');
    return 'current';
  }
  say(`native addon: building with ${compiler.version}`);
  mkdirSync(buildDir, { recursive: true });
  // Built aside and renamed into place, so that two builds at once, or a running process, see a whole file.
  const workDir = mkdtempSync(join(buildDir, 'work-'));
  try {
    const built = join(workDir, 'specoffload.node');
    await compileAndLink(compiler, flags, workDir, built);
    rmSync(stampPath, { force: true });
    renameSync(built, addonPath);
    writeFileSync(stampPath, stamp);
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
