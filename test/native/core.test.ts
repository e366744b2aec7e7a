import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NativePreference } from '@specoffload/native';
import { loadNativeCore } from '@specoffload/native';
import { describe, expect, test } from 'vitest';
import { addonIsBuilt, createScratch } from './helpers.js';

const nativeDir = fileURLToPath(new URL('../../native', import.meta.url));

/** A copy of the compiled package beside which no addon is built. */
function createUnbuiltPackage(): string {
  const folder = createScratch();
  cpSync(join(nativeDir, 'dist'), join(folder, 'dist'), { recursive: true });
  cpSync(join(nativeDir, 'package.json'), join(folder, 'package.json'));
  return folder;
}

const unbuilt = createUnbuiltPackage();
const brokenPackage = createScratch();

function runUnbuilt(source: string): { status: number | null; stdout: string; stderr: string } {
  const entry = JSON.stringify(join(unbuilt, 'dist/index.js'));
  const script = `import { loadNativeCore } from ${entry};\n${source.replaceAll('ENTRY', entry)}`;
  return spawnSync(process.execPath, ['--input-type=module', '--eval', script], {
    encoding: 'utf8',
    timeout: 30_000,
  });
}

describe('loadNativeCore', () => {
  test.runIf(addonIsBuilt)('takes the addon where it is built', () => {
    expect(loadNativeCore().kind).toBe('native');
    expect(loadNativeCore('native').kind).toBe('native');
  });

  test('takes the twin when asked', () => {
    expect(loadNativeCore('twin').kind).toBe('twin');
  });

  test('warns once per process, on the main thread only, when the twin takes over', () => {
    const { status, stdout, stderr } = runUnbuilt(`
      import { Worker } from 'node:worker_threads';
      console.log(loadNativeCore().kind, loadNativeCore('auto').kind);
      const code = \`import(\${JSON.stringify(ENTRY)}).then(({ loadNativeCore }) => console.log(loadNativeCore().kind))\`;
      new Worker(code, { eval: true });
    `);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'twin twin\ntwin\n' });
    expect(stderr).toBe(
      'warning: the native addon does not load (it is not built); the slower TypeScript twin takes over; ' +
        'run `node native/build.mjs` (it needs a C++17 compiler)\n',
    );
  });

  test('says nothing when the twin is asked for', () => {
    const { stdout, stderr } = runUnbuilt("console.log(loadNativeCore('twin').kind);");
    expect({ stdout, stderr }).toEqual({ stdout: 'twin\n', stderr: '' });
  });

  test('fails with the remedy when the addon is demanded and not built', () => {
    const { stdout } = runUnbuilt(
      "try { loadNativeCore('native'); } catch (error) { console.log(error.message); }",
    );
    expect(stdout).toBe(
      'cannot load the native addon (it is not built); run `node native/build.mjs` (it needs a C++17 compiler)\n',
    );
  });

  test('refuses an unknown preference', () => {
    expect(() => loadNativeCore('fast' as NativePreference)).toThrow(
      'invalid preference: fast; expected auto, native or twin',
    );
  });
});

describe('build.mjs', () => {
  test('warns in one line and exits well where there is no compiler', () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(nativeDir, 'build.mjs')], {
      encoding: 'utf8',
      env: { PATH: '' },
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
    expect(stderr).toMatch(/^warning: native addon: .+; the slower TypeScript twin takes over\n$/);
  });

  test('refuses unknown arguments', () => {
    const { status, stderr } = spawnSync(process.execPath, [join(nativeDir, 'build.mjs'), '--fast'], {
      encoding: 'utf8',
    });
    expect(status).toBe(2);
    expect(stderr).toContain('invalid argument: --fast');
  });

  test.runIf(addonIsBuilt && process.platform === 'linux')(
    'fails when a compiler that is there fails',
    () => {
      const folder = brokenPackage;
      mkdirSync(join(folder, 'src'));
      cpSync(join(nativeDir, 'src/cpp'), join(folder, 'src/cpp'), { recursive: true });
      cpSync(join(nativeDir, 'build.mjs'), join(folder, 'build.mjs'));
      cpSync(join(nativeDir, 'package.json'), join(folder, 'package.json'));
      symlinkSync(join(nativeDir, '../node_modules'), join(folder, 'node_modules'));
      // All of them: nothing but the failure is to be compiled.
      for (const name of readdirSync(join(folder, 'src/cpp'), { recursive: true, encoding: 'utf8' }))
        if (name.endsWith('.cpp')) writeFileSync(join(folder, 'src/cpp', name), 'not C++');
      const { status, stderr } = spawnSync(process.execPath, [join(folder, 'build.mjs')], {
        encoding: 'utf8',
      });
      expect(status).toBe(1);
      expect(stderr).toContain('failed:');
      expect(existsSync(join(folder, 'build/specoffload.node'))).toBe(false);
    },
  );
});
