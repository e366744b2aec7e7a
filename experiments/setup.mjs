/**
 * Sets the project up: packages, native core, compiled TypeScript, and what kernels start from, which `--no-kernel`
 * leaves out. Does only what is not done yet.
 *
 * Runs before anything is installed, so it imports nothing but Node's own modules (and files beside that keep
 * the same rule).
 */

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { bundledFiles, bundleRealms } from './bundle.mjs';
import { removeUnusedFiles } from './unused-files.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { workspaces } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const leastNode = [20, 19];

/** A failure the user can mend; `log` is what the failing program said. */
class SetupError extends Error {
  constructor(message, log = '') {
    super(message);
    this.log = log;
  }
}

async function main() {
  assertNode(process.versions.node);
  const packages = installPackages().then(trimPackages);
  // Side by side: to install packages and to prepare the kernel keep one core busy, the native core as many as there are.
  await Promise.all([buildNativeCore(packages), packages.then(buildTypeScript)]);
}

function assertNode(version) {
  const [major, minor] = version.split('.').map(Number);
  const isEnough = major > leastNode[0] || (major === leastNode[0] && minor >= leastNode[1]);
  if (!isEnough)
    throw new SetupError(
      `Node ${version} is too old; expected ${leastNode.join('.')} or newer (https://nodejs.org has it)`,
    );
}

async function installPackages() {
  const stamp = digest([readFileSync(join(root, 'package-lock.json'))]);
  const installedLock = join(root, 'node_modules', '.package-lock.json');
  if (existsSync(installedLock)) {
    if (readStamp('packages') === stamp) return;
    // Somebody ran `npm install` by hand: what counts is what is there.
    if (isInstalled(installedLock)) return writeStamp('packages', stamp);
  }
  await step('install packages', () =>
    runProgram('npm ci', ...npmCommand(['ci', '--no-audit', '--no-fund']), (log) =>
      log.includes('EUSAGE')
        ? 'run `npm install` once: package-lock.json does not match package.json'
        : 'check the network connection and the settings of npm, then try again',
    ),
  );
  writeStamp('packages', stamp);
}

function trimPackages() {
  const rules = readFileSync(new URL('./unused-files.mjs', import.meta.url));
  const stamp = digest([readFileSync(join(root, 'package-lock.json')), rules]);
  if (readStamp('trimmed') === stamp) return;
  removeUnusedFiles(join(root, 'node_modules'));
  writeStamp('trimmed', stamp);
}

/** Whether node_modules holds what package-lock.json asks for. Optional packages may be another platform's. */
function isInstalled(installedLock) {
  try {
    const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages;
    const found = JSON.parse(readFileSync(installedLock, 'utf8')).packages;
    return Object.entries(wanted)
      .filter(([path]) => path !== '')
      .every(([path, { version, optional }]) =>
        found[path] === undefined ? optional === true : found[path].version === version,
      );
  } catch {
    return false;
  }
}

/**
 * Without a compiler, or with one that fails, the TypeScript twin takes over: a warning, no failure. Where packages cannot
 * be installed, that is said elsewhere.
 */
async function buildNativeCore(packages) {
  const script = join(root, 'native', 'build.mjs');
  if (!existsSync(script)) return;
  const { buildNative } = await import(pathToFileURL(script).href);
  const title = 'build the native core';
  let startMs = 0;
  const onBegin = () => {
    startMs = performance.now();
    process.stderr.write(`setup: ${title} ...\n`);
  };
  try {
    const outcome = await buildNative({ quiet: true, packages, onBegin });
    if (outcome === 'built') process.stderr.write(`setup: ${title}: ${secondsSince(startMs)}\n`);
  } catch (error) {
    await packages;
    process.stderr.write(`setup: ${title} failed\n${error.message.trimEnd()}\n`);
    process.stderr.write('setup: warning: no native core; the slower TypeScript twin takes over\n');
  }
}

async function buildTypeScript() {
  await compileTypeScript();
  if (!process.argv.includes('--no-kernel')) await prepareKernel();
}

async function compileTypeScript() {
  const { stamp, outputs } = sourcesAndOutputs();
  if (readStamp('typescript') === stamp && outputs.every((path) => existsSync(path))) return;
  await step('compile TypeScript', () =>
    runProgram(
      'tsc -b',
      process.execPath,
      [join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-b'],
      () => 'mend the errors above',
    ),
  );
  await step('bundle what starts processes and threads', bundleRealms);
  writeStamp('typescript', stamp);
}

/** Where it fails, kernels start without: a warning, once. */
async function prepareKernel() {
  const place = join(root, 'kernel', 'dist', 'snapshot', 'place.js');
  const { snapshotPath } = await import(pathToFileURL(place).href);
  const path = snapshotPath();
  if (existsSync(path) || readStamp('no-snapshot') === path) return;
  try {
    await step('prepare the kernel', () =>
      runProgram('the snapshot', process.execPath, [join(root, 'kernel', 'bin', 'snapshot.js')], () => ''),
    );
  } catch (error) {
    writeStamp('no-snapshot', path);
    process.stderr.write(`${error.log}\nsetup: warning: no snapshot; kernels start more slowly\n`);
  }
}

/** What `tsc -b` reads, as a digest of names, sizes and times of change, and what it must have written. */
function sourcesAndOutputs() {
  const facts = [];
  const outputs = bundledFiles();
  const note = (path) => {
    const { size, mtimeMs } = statSync(path);
    facts.push(`${relative(root, path)} ${size} ${mtimeMs}`);
  };
  for (const file of ['tsconfig.json', 'tsconfig.base.json', 'package-lock.json', 'experiments/bundle.mjs'])
    note(join(root, file));
  for (const workspace of workspaces) {
    const folder = join(root, workspace);
    for (const file of ['package.json', 'tsconfig.json']) note(join(folder, file));
    for (const name of readdirSync(join(folder, 'src'), { recursive: true }).sort()) {
      if (!/\.c?ts$/.test(name)) continue;
      note(join(folder, 'src', name));
      if (!name.endsWith('.d.ts')) outputs.push(join(folder, 'dist', name.replace(/ts$/, 'js')));
    }
  }
  return { stamp: digest([facts.join('\n')]), outputs };
}

/** Runs one step, and says when it begins and what it took: steps may be under way side by side. */
async function step(title, work) {
  const startMs = performance.now();
  process.stderr.write(`setup: ${title} ...\n`);
  try {
    await work();
  } catch (error) {
    process.stderr.write(`setup: ${title} failed\n`);
    throw error;
  }
  process.stderr.write(`setup: ${title}: ${secondsSince(startMs)}\n`);
}

function secondsSince(startMs) {
  return `${((performance.now() - startMs) / 1000).toFixed(1)} s`;
}

/** Runs a program silently; what it said is shown only when it fails, with a remedy chosen by that. */
function runProgram(title, program, args, remedyFor) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    const chunks = [];
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    child.stderr.on('data', (chunk) => chunks.push(chunk));
    child.on('error', (error) => reject(new SetupError(`${title} could not start: ${error.message}`)));
    child.on('close', (code, signal) => {
      if (code === 0) resolve();
      else {
        const log = Buffer.concat(chunks).toString('utf8');
        reject(new SetupError(`${title} failed (${signal ?? `exit code ${code}`}); ${remedyFor(log)}`, log));
      }
    });
  });
}

/** npm as this process was started by it, so that a fresh machine needs no npm on the path of a child. */
function npmCommand(args) {
  const script = process.env.npm_execpath;
  if (script?.endsWith('.js')) return [process.execPath, [script, ...args]];
  return [process.platform === 'win32' ? 'npm.cmd' : 'npm', args];
}

function digest(parts) {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
}

function readStamp(name) {
  try {
    return readFileSync(join(root, '.setup', name), 'utf8');
  } catch {
    return null;
  }
}

function writeStamp(name, stamp) {
  mkdirSync(join(root, '.setup'), { recursive: true });
  const path = join(root, '.setup', name);
  writeFileSync(`${path}.${process.pid}`, stamp);
  renameSync(`${path}.${process.pid}`, path);
}

main().catch((error) => {
  if (error instanceof SetupError) {
    if (error.log !== '') process.stderr.write(`${error.log.trimEnd()}\n`);
    process.stderr.write(`setup: ${error.message}\n`);
  } else {
    process.stderr.write(`setup: ${error.stack}\n`);
  }
  process.exitCode = 1;
});
