// Compiles the kernels in native/src/vulkan-shaders/ to SPIR-V beside them, which is committed: whoever runs them needs
// no shader compiler. Run it after a change of a kernel: `node native/shaders.mjs [folder]`. Kernels with cooperative
// matrices need glslang 13 or newer, and only they are compiled by it: `GLSLANG=/path/to/glslang node native/shaders.mjs`.

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const shaderDir = fileURLToPath(new URL('./src/vulkan-shaders/', import.meta.url));
const compiler = process.env.GLSLANG ?? 'glslangValidator';
const firstWithMatrices = 13;

function run(...args) {
  const { status, stdout, error } = spawnSync(compiler, args, { encoding: 'utf8' });
  if (error) throw new Error(`${compiler} is not there; it compiles shaders; install glslang-tools`);
  if (status !== 0) throw new Error(`${compiler} failed:\n${stdout}`);
  return stdout;
}

/** Beside the SPIR-V stands what it was compiled with: other versions may write other code. */
function compileShaders(targetDir) {
  const [, version, major] = /Glslang Version: (\d+:(\d+)\S*)/.exec(run('--version'));
  const takesMatrices = Number(major) >= firstWithMatrices;
  const sources = readdirSync(shaderDir)
    .filter((name) => name.endsWith('.comp'))
    .map((name) => ({ name: name.slice(0, -5), text: readFileSync(join(shaderDir, name), 'utf8') }))
    .filter(({ text }) => text.includes('GL_KHR_cooperative_matrix') === takesMatrices);
  for (const { name } of sources) {
    const target = join(targetDir, `${name}.spv`);
    const environment = takesMatrices ? 'vulkan1.3' : 'vulkan1.2';
    run('-V', '--target-env', environment, '-o', target, join(shaderDir, `${name}.comp`));
    if (takesMatrices) writeFileSync(join(targetDir, `${name}-bf16.spv`), toBf16(readFileSync(target)));
  }
  writeFileSync(join(targetDir, takesMatrices ? 'COMPILER-MATRICES' : 'COMPILER'), `glslang ${version}\n`);
}

/**
 * The same module with bf16 for fp16, which it uses as the type of matrices alone: glslang 13 knows no bf16.
 * Source: SPV_KHR_bfloat16.
 */
function toBf16(bytes) {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  const [capability, extension, typeFloat] = [17, 10, 22];
  const [float16, bfloat16Type, bfloat16Matrix] = [9, 5116, 5118];
  const instruction = (code, ...operands) => [((operands.length + 1) << 16) | code, ...operands];
  const name = new Uint32Array(new Uint8Array(Buffer.from('SPV_KHR_bfloat16\0\0\0\0')).buffer);
  const result = [...words.subarray(0, 5)];
  let isExtended = false;
  for (let at = 5, length = 0; at < words.length; at += length) {
    length = words[at] >>> 16;
    const code = words[at] & 0xffff;
    const operands = words.subarray(at + 1, at + length);
    if (!isExtended && code !== capability && code !== extension) {
      result.push(...instruction(extension, ...name));
      isExtended = true;
    }
    if (code === capability && operands[0] === float16)
      result.push(...instruction(capability, bfloat16Type), ...instruction(capability, bfloat16Matrix));
    else if (code === typeFloat && operands[1] === 16) result.push(...instruction(typeFloat, ...operands, 0));
    else result.push(...words.subarray(at, at + length));
  }
  return new Uint8Array(Uint32Array.from(result).buffer);
}

try {
  compileShaders(process.argv[2] ?? shaderDir);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
