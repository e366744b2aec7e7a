// Builds the C++ core with sanitizers and drives it through smoke.cpp: `node native/sanitize.mjs`.
// Address and undefined-behaviour sanitizers in one program, the thread sanitizer in another.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { coreSources, findCompiler, kernelUnits, runCompiler, tilesFlags } from './build.mjs';

const buildDir = fileURLToPath(new URL('./build/', import.meta.url));
const sources = fileURLToPath(new URL('./src/cpp/', import.meta.url));
const smoke = join(sources, 'smoke.cpp');

const programs = [
  {
    name: 'address and undefined behaviour',
    flags: ['-fsanitize=address,undefined', '-fno-sanitize-recover=all'],
  },
  { name: 'threads', flags: ['-fsanitize=thread'] },
];

const compiler = findCompiler();
if (!compiler) {
  console.error('cannot sanitize: no C++ compiler found; install one or set CXX');
  process.exit(1);
}
mkdirSync(buildDir, { recursive: true });
const workDir = mkdtempSync(join(buildDir, 'sanitize-'));
try {
  for (const { name, flags } of programs) {
    const program = join(workDir, 'smoke');
    const common = ['-std=c++17', '-O1', '-g', '-pthread', '-Wno-psabi', ...flags, ...tilesFlags(compiler)];
    const objects = [];
    for (const { path, flags: levelFlags, object } of kernelUnits(common, workDir)) {
      await runCompiler(compiler, [...common, ...levelFlags, '-c', path, '-o', object]);
      objects.push(object);
    }
    await runCompiler(compiler, [...common, ...coreSources(), smoke, ...objects, '-o', program]);
    const { status, signal } = spawnSync(program, [workDir], { stdio: 'inherit' });
    if (status !== 0) throw new Error(`sanitizer (${name}): failed with ${signal ?? `exit code ${status}`}`);
    console.error(`sanitizer (${name}): nothing found`);
  }
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
} finally {
  rmSync(workDir, { recursive: true, force: true });
}
