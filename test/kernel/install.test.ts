import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { checkKernel, checkKernelspec } from '../../kernel/src/install/check.js';
import { findKernel, installKernel, uninstallKernel } from '../../kernel/src/install/kernelspec.js';
import { type Surroundings, userDataDirectory } from '../../kernel/src/install/places.js';
import { kernelScript } from '../../kernel/src/packages.js';
import { callCli } from '../experiments/cli.js';

let home: string;
let here: Surroundings;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'specoffload-install-'));
  here = { home, platform: 'linux', env: { JUPYTER_PATH: join(home, 'given') } };
});
afterEach(() => rm(home, { recursive: true, force: true }));

describe("this user's Jupyter folder", () => {
  const cases: readonly (readonly [platform: NodeJS.Platform, env: Record<string, string>, path: string])[] =
    [
      ['linux', {}, '/h/.local/share/jupyter'],
      ['linux', { XDG_DATA_HOME: '/x' }, '/x/jupyter'],
      ['linux', { XDG_DATA_HOME: '' }, '/h/.local/share/jupyter'],
      ['linux', { JUPYTER_DATA_DIR: '/d', XDG_DATA_HOME: '/x' }, '/d'],
      ['darwin', {}, '/h/Library/Jupyter'],
      ['darwin', { JUPYTER_DATA_DIR: '/d' }, '/d'],
      ['win32', { APPDATA: '/roaming' }, '/roaming/jupyter'],
    ];
  it.each(cases)('%s %j', (platform, env, path) => {
    expect(userDataDirectory({ platform, env, home: '/h' })).toBe(path);
  });
});

describe('the kernelspec', () => {
  it('is written for this user, found, and taken away', async () => {
    const directory = await installKernel({}, here);
    expect(directory).toBe(join(home, '.local/share/jupyter/kernels/specoffload'));
    expect((await readdir(directory)).sort()).toEqual(['kernel.json', 'logo-64x64.png', 'logo-svg.svg']);
    expect(JSON.parse(await readFile(join(directory, 'kernel.json'), 'utf8'))).toMatchObject({
      argv: [process.execPath, kernelScript, '{connection_file}'],
      display_name: 'SpecOffload Lab (TypeScript)',
      language: 'typescript',
      interrupt_mode: 'signal',
    });
    expect(findKernel('specoffload', here)).toMatchObject({ directory, script: kernelScript });
    expect(await installKernel({}, here)).toBe(directory);
    const extension = join(home, '.local/share/jupyter/labextensions/@specoffload/kernel');
    const { jupyterlab } = JSON.parse(await readFile(join(extension, 'package.json'), 'utf8'));
    expect(await readFile(join(extension, jupyterlab._build.load), 'utf8')).toContain('_JUPYTERLAB');
    expect(await uninstallKernel({}, here)).toBe(directory);
    await expect(readdir(extension)).rejects.toThrow('ENOENT');
    expect(findKernel('specoffload', here)).toBeNull();
    await expect(uninstallKernel({}, here)).rejects.toThrow(`no kernel is installed in ${directory}`);
  });

  it('goes below a prefix, or into the active environment, under a name of its own', async () => {
    expect(await installKernel({ prefix: home, name: 'mine' }, here)).toBe(
      join(home, 'share/jupyter/kernels/mine'),
    );
    const environment = { ...here, env: { VIRTUAL_ENV: join(home, 'venv') } };
    const directory = await installKernel({ sysPrefix: true }, environment);
    expect(directory).toBe(join(home, 'venv/share/jupyter/kernels/specoffload'));
    expect(findKernel('specoffload', environment)).toMatchObject({ directory });
  });

  it.each(['', '../up', 'a b', '..'])('is not written under the name %j', async (name) => {
    await expect(installKernel({ name }, here)).rejects.toThrow(`invalid kernel name: ${name}`);
  });

  it('neither overwrites nor removes a kernel of somebody else', async () => {
    const directory = join(home, '.local/share/jupyter/kernels/python3');
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, 'kernel.json'), '{"argv": ["python3"]}');
    await expect(installKernel({ name: 'python3' }, here)).rejects.toThrow('holds another kernel');
    await expect(uninstallKernel({ name: 'python3' }, here)).rejects.toThrow(
      'holds another kernel, which stays',
    );
    expect(await readdir(directory)).toEqual(['kernel.json']);
  });

  it('says when its place cannot be written', async () => {
    await writeFile(join(home, 'file'), '');
    await expect(installKernel({ prefix: join(home, 'file') }, here)).rejects.toThrow('cannot write');
  });
});

describe('the check', () => {
  const findings = async () =>
    Object.fromEntries((await checkKernel('specoffload', here)).map((item) => [item.name, item]));

  it('says what is missing and what brings it', async () => {
    const items = await findings();
    expect(items.kernelspec).toMatchObject({ isFine: false, remedy: 'specoffload notebook install' });
    expect(items.jupyter).toMatchObject({
      isFine: false,
      finding: expect.stringContaining('no jupyter on the PATH'),
    });
    for (const name of ['compiled', 'tslab', 'zeromq', 'kernel'])
      expect(items[name]).toMatchObject({ isFine: true, remedy: null });
    expect(items.kernel!.finding).toMatch(/^first result after \d+\.\d s$/);
  });

  it('finds what is there, and a kernelspec whose project has gone', async () => {
    const directory = await installKernel({}, here);
    await writeFile(join(home, 'jupyter'), '#!/bin/sh\n');
    await chmod(join(home, 'jupyter'), 0o755);
    here = { ...here, env: { ...here.env, PATH: home } };
    expect(await findings()).toMatchObject({ kernelspec: { isFine: true }, jupyter: { isFine: true } });
    const path = join(directory, 'kernel.json');
    await writeFile(path, (await readFile(path, 'utf8')).replace(kernelScript, '/gone/kernel.js'));
    expect(checkKernelspec('specoffload', here)).toMatchObject({
      isFine: false,
      finding: `${directory} starts /gone/kernel.js, which is gone`,
      remedy: 'specoffload notebook install',
    });
  });
});

describe('the commands', () => {
  it('install and uninstall below a prefix', async () => {
    const directory = join(home, 'share/jupyter/kernels/specoffload');
    const installed = await callCli(['notebook', 'install', '--prefix', home, '--json']);
    expect(installed).toMatchObject({ exitCode: 0, stdout: `${JSON.stringify({ directory })}\n` });
    const removed = await callCli(['notebook', 'uninstall', '--prefix', home]);
    expect(removed).toMatchObject({ exitCode: 0, stdout: `removed ${directory}\n` });
    const again = await callCli(['notebook', 'uninstall', '--prefix', home]);
    expect(again).toMatchObject({
      exitCode: 1,
      stderr: `specoffload: no kernel is installed in ${directory}\n`,
    });
    const both = await callCli(['notebook', 'install', '--user', '--prefix', home]);
    expect(both.exitCode).toBe(2);
  });
});
