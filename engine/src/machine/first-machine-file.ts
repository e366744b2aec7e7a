/** Machine files of the first schema, with a field for each of four lanes, as the lists that files are now. */

import { type Checked, check, is, isRecord, type JsonRecord, type Schema } from '@specoffload/input';
import { isTransfer, localTopology } from '../topology/topology.js';

const memories = { diskBytes: 'disk', hostBytes: 'host', deviceBytes: 'device' };

/** Anything else as it is. */
export function fromFirstSchema(json: unknown, source: string): unknown {
  if (!isRecord(json) || json.schema !== 1) return json;
  const file: JsonRecord & FirstFile = check(firstFile, json, source, { remedy: 'correct it' });
  const { memory: bytes, variability, laneWidth, interruptsDraft, ...root } = file;
  const byLane = { variability, width: laneWidth };
  const pageCache = root.disk.pageableBytesPerSecond !== undefined;
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
      ...laneFields(root[place.name] as JsonRecord),
      ...ofLane(byLane, place.name),
      ...(isTransfer(place) || interruptsDraft === undefined ? {} : { interruptsDraft }),
    })),
  };
}

const laneNames = localTopology.lanes.map(({ name }) => name);

const someOf = (names: readonly string[]): Schema<JsonRecord> =>
  is.onlyFields(Object.fromEntries(names.map((name) => [name, is.orMissing(is.anything)])));
const ofLanes = is.orElse(someOf(laneNames), {});
const firstFile = is.fields({
  ...{ memory: someOf(Object.keys(memories)), variability: ofLanes, laneWidth: ofLanes },
  ...{ disk: is.object, link: is.object, host: is.object, device: is.object },
});
type FirstFile = Checked<typeof firstFile>;

function laneFields(fields: JsonRecord): JsonRecord {
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

function ofLane(byLane: Readonly<Record<string, JsonRecord>>, lane: string): JsonRecord {
  const entries = Object.entries(byLane).map(([field, values]) => [field, values[lane]]);
  return Object.fromEntries(entries.filter(([, value]) => value !== undefined));
}
