/** What cells have left running in this process: an answer to a request of the lab's own runner. */

/** What the kernel has itself: its standard streams, signals, the parent's watch, TypeScript's look at source files. */
const ownKinds = new Set([
  ...[
    'CloseReq',
    'FSEventWrap',
    'MessagePort',
    'PipeWrap',
    'PollWrap',
    'SignalWrap',
    'StatWatcher',
    'TTYWrap',
  ],
  'Worker',
]);

/** Kinds of resources, as Node names them, that wait for something and may then run code of a cell. */
export function listLeftovers(): string[] {
  return process.getActiveResourcesInfo().filter((kind) => !ownKinds.has(kind));
}
