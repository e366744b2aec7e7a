/** What the kernel that runs this code, if one does, lets notebooks ask of it beyond showing things. */

export interface KernelHost {
  clearOutput(waits: boolean): void;
  /** @throws where nobody can type */
  ask(prompt: string, isPassword: boolean): Promise<string>;
}

/** Of the whole process: a notebook may have a copy of this package of its own. */
const place = Symbol.for('specoffload.kernelHost');

type Place = { [place]?: KernelHost };

export function provideHost(host: KernelHost): void {
  Object.defineProperty(globalThis, place, { value: host, configurable: true });
}

export function findHost(): KernelHost | undefined {
  return (globalThis as Place)[place];
}
