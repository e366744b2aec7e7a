/** What JupyterLab loads beside the kernel, so that the output of a running cell goes on when its page is loaded again. */

import { copyFile, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { saveFile } from '../notebook/save.js';
import { kernelDirectory, readKernelVersion } from '../packages.js';

const name = '@specoffload/kernel';

/** @param data Jupyter's folder that holds `kernels`, too */
export async function installExtension(data: string): Promise<void> {
  const folder = extensionFolder(data);
  await mkdir(join(folder, 'static'), { recursive: true });
  await copyFile(join(kernelDirectory, 'assets', 'labextension.js'), join(folder, 'static', 'reconnect.js'));
  await saveFile(join(folder, 'package.json'), `${JSON.stringify(describeExtension(), null, 2)}\n`);
}

export async function uninstallExtension(data: string): Promise<void> {
  await rm(extensionFolder(data), { recursive: true, force: true });
}

function describeExtension() {
  const build = { load: 'static/reconnect.js', extension: './reconnect' };
  return {
    ...{ name, version: readKernelVersion(), license: 'Apache-2.0' },
    description: 'Lets the output of a running cell go on when the page is loaded again',
    jupyterlab: { extension: true, outputDir: dirname(build.load), _build: build },
  };
}

function extensionFolder(data: string): string {
  return join(data, 'labextensions', ...name.split('/'));
}
