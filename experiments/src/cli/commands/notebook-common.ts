/** The way into the kernel package, which takes its time to load: only commands that need it do. */

type Kernel = typeof import('@specoffload/kernel');

export async function withKernel<T>(work: (kernel: Kernel) => T | Promise<T>): Promise<T> {
  return work(await import('@specoffload/kernel'));
}
