// Compiles the kernels in native/src/vulkan-shaders/ to SPIR-V beside them, which is committed: whoever runs them needs
// no shader compiler. Run it after a change of a kernel: `node native/shaders.mjs [folder]`.

import { spawnSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const shaderDir = fileURLToPath(new URL('./src/vulkan-shaders/', import.meta.url));
const compiler = 'glslangValidator';

function run(...args) {
  const { status, stdout, error } = spawnSync(compiler, args, { encoding: 'utf8' });
  if (error) throw new Error(`${compiler} is not there; it compiles shaders; install glslang-tools`);
  if (status !== 0) throw new Error(`${compiler} failed:\n${stdout}`);
  return stdout;
}

/** Beside the SPIR-V stands what it was compiled with: other versions may write other code. */
function compileShaders(targetDir) {
  const version = /Glslang Version: (\S+)/.exec(run('--version'))?.[1];
  for (const name of readdirSync(shaderDir).filter((entry) => entry.endsWith('.comp')))
    run(
      ...['-V', '--target-env', 'vulkan1.2'],
      ...['-o', join(targetDir, name.replace(/comp$/, 'spv')), join(shaderDir, name)],
    );
  writeFileSync(join(targetDir, 'COMPILER'), `glslang ${version}\n`);
}

try {
  compileShaders(process.argv[2] ?? shaderDir);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
