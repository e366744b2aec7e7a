/**
 * What npm runs once the packed lab lies where it stays. On linux-x64 everything is there already; elsewhere the native
 * core is built and packages with native code are fetched for the system at hand. Then what kernels start from is made.
 * Whatever fails is said, and the rest goes on: without a native core its TypeScript twin computes.
 */

import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { folderOfBuilds } from './unused-files.mjs';

const lab = dirname(dirname(fileURLToPath(import.meta.url)));
const packages = dirname(lab);

await attempt('the native core', bringNativeCore);
await attempt('packages for this system', bringBuilds);
await attempt("the kernel's snapshot", makeSnapshot);

async function attempt(title, work) {
  try {
    await work();
  } catch (error) {
    process.stderr.write(`specoffload: warning: ${title}: ${error.message}\n`);
  }
}

/** As packed where it loads: it was built for one system, and against one C++ library. */
async function bringNativeCore() {
  try {
    createRequire(import.meta.url)(join(lab, 'native', 'build', 'specoffload.node'));
  } catch {
    const { buildNative } = await import('../native/build.mjs');
    await buildNative({ force: true });
  }
}

function bringBuilds() {
  const system = join(process.platform, process.arch);
  const missing = Object.entries(folderOfBuilds).filter(
    ([name, folder]) => !existsSync(join(packages, name, folder, system)),
  );
  if (missing.length === 0) return;
  const folder = mkdtempSync(join(tmpdir(), 'specoffload-install-'));
  try {
    const wanted = missing.map(([name]) => `${name}@${versionOf(name)}`);
    runNpm(['install', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund', ...wanted]);
    for (const [name, builds] of missing) {
      const place = join(name, builds, system);
      cpSync(join(folder, 'node_modules', place), join(packages, place), { recursive: true });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function versionOf(name) {
  return JSON.parse(readFileSync(join(packages, name, 'package.json'), 'utf8')).version;
}

function runNpm(args) {
  const script = process.env.npm_execpath;
  // As a part of `npm i -g` it would install there, too.
  const env = { ...process.env, npm_config_global: 'false', npm_config_location: 'project' };
  if (script?.endsWith('.js')) execFileSync(process.execPath, [script, ...args], { env, stdio: 'pipe' });
  else execFileSync(process.platform === 'win32' ? 'npm.cmd' : 'npm', args, { env, stdio: 'pipe' });
}

function makeSnapshot() {
  execFileSync(process.execPath, [join(lab, 'kernel', 'bin', 'snapshot.js')], { stdio: 'pipe' });
}
