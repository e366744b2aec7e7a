/** What a machine of parts draws: the parts' own numbers, in the fields of a machine file. */

import type { MachineContent, MachinePart, PartKind } from './machine-parts.js';

/** What a data sheet, a measurement of somebody's or an estimate says, as a machine file takes it. */
export interface PowerFact {
  readonly value: string | number;
  readonly source: string;
  readonly assumed?: true;
}

export interface PartPower {
  readonly idleWatts?: PowerFact;
  readonly busyWatts?: PowerFact;
  /** Of a GPU: at which it has its rates and its busy power. */
  readonly hertz?: PowerFact;
  /** Of a host: its memory, however little is moved. */
  readonly memoryWatts?: PowerFact;
  /** Of a link, for what crosses it; of a host, for what is read from or written to its memory. */
  readonly joulesPerByte?: PowerFact;
}

/** Adds them to the machine's lanes and memories, which it changes. */
export function addPower(
  { lanes, memories }: MachineContent,
  parts: Readonly<Record<PartKind, MachinePart>>,
): void {
  const { gpu, host, link, disk } = parts;
  const find = (list: MachineContent['lanes'], name: string) => list.find((one) => one.name === name)!;
  const watts = ({ idleWatts, busyWatts }: PartPower) => ({ idleWatts, busyWatts });
  find(lanes, 'device').power = watts(gpu);
  find(lanes, 'device').clock = { hertz: gpu.hertz };
  find(lanes, 'host').power = watts(host);
  find(lanes, 'disk').power = { ...watts(disk), joulesPerByte: host.joulesPerByte };
  find(lanes, 'link').power = { joulesPerByte: sum(link.joulesPerByte!, host.joulesPerByte!) };
  find(memories, 'host').idleWatts = host.memoryWatts;
}

function sum(link: PowerFact, memory: PowerFact): PowerFact {
  return {
    value: Number((Number(link.value) + Number(memory.value)).toPrecision(4)),
    source: `the link: ${link.source}; reading host memory: ${memory.source}`,
    assumed: true,
  };
}
