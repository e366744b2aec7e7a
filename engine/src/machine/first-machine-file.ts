/** Machine files of the first schema, with a field for each of four lanes, as the lists that files are now. */

import { isRecord, type JsonRecord, printable, quote, UserError } from '@specoffload/input';
import { isTransfer, localTopology } from '../topology/topology.js';

const memories = { diskBytes: 'disk', hostBytes: 'host', deviceBytes: 'device' };

/** Anything else as it is. */
export function fromFirstSchema(json: unknown, source: string): unknown {
  if (!isRecord(json) || json.schema !== 1) return json;
  const { memory, variability = {}, laneWidth = {}, interruptsDraft, ...root } = json;
  const byLane = { variability, width: laneWidth };
  assertKeys(variability, 'variability', laneNames, source);
  assertKeys(laneWidth, 'laneWidth', laneNames, source);
  assertKeys(memory, 'memory', Object.keys(memories), source);
  const bytes = memory as JsonRecord;
  const disk = root.disk;
  const pageCache = isRecord(disk) && disk.pageableBytesPerSecond !== undefined;
  const others = Object.entries(root).filter(([field]) => !laneNames.includes(field));
  return {
    ...Object.fromEntries(others),
    schema: 2,
    memories: Object.entries(memories).map(([field, name]) => ({
      name,
      ...(bytes[field] === undefined ? {} : { bytes: bytes[field] }),
      ...(name === 'host' && pageCache ? { pageCache } : {}),
    })),
    lanes: localTopology.lanes.map((place) => ({
      ...place,
      ...laneFields(root[place.name], place.name, source),
      ...ofLane(byLane, place.name),
      ...(isTransfer(place) || interruptsDraft === undefined ? {} : { interruptsDraft }),
    })),
  };
}

const laneNames = localTopology.lanes.map(({ name }) => name);

function laneFields(fields: unknown, name: string, source: string): JsonRecord {
  if (!isRecord(fields))
    throw new UserError(`${source}: invalid ${name}: ${quote(fields)}; expected an object`);
  const { arithmetic, kinds, ...others } = fields;
  return {
    ...others,
    ...(arithmetic === undefined ? {} : { arithmetic: toConstant(arithmetic) }),
    ...(kinds === undefined ? {} : { kinds: isRecord(kinds) ? mapFields(kinds, kindFields) : kinds }),
  };
}

const kindFields = (fields: unknown) =>
  isRecord(fields) && fields.arithmetic !== undefined
    ? { ...fields, arithmetic: toConstant(fields.arithmetic) }
    : fields;

/** `values` are now a value. */
function toConstant(table: unknown): unknown {
  if (!isRecord(table) || table.values === undefined) return table;
  const { values, ...others } = table;
  return { value: values, ...others };
}

function mapFields(fields: JsonRecord, map: (value: unknown) => unknown): JsonRecord {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, map(value)]));
}

function ofLane(byLane: Readonly<Record<string, unknown>>, lane: string): JsonRecord {
  const entries = Object.entries(byLane).map(([field, values]) => [field, (values as JsonRecord)[lane]]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}

function assertKeys(fields: unknown, place: string, known: readonly string[], source: string): void {
  if (!isRecord(fields))
    throw new UserError(`${source}: invalid ${place}: ${quote(fields)}; expected an object`);
  for (const name of Object.keys(fields))
    if (!known.includes(name))
      throw new UserError(
        `${source}: unknown field: ${place}.${printable(name)}; expected ${known.join(', ')}`,
      );
}
