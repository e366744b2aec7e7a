/** Versions of `run.json`: the one place where a record of an earlier schema would become one of today's. */

import { quote, UserError } from '@specoffload/input';

type Fields = Readonly<Record<string, unknown>>;

/** A record that is whole, and that only a later version of the lab can read. */
export class NewerRecordError extends UserError {}

/**
 * There has been one schema so far, so nothing changes on the way. The second will add its step here, and change its
 * copy only: records on disk stay as they were written.
 * @throws UserError: `results/…/run.json: schema 2 is newer than this version reads (1); update SpecOffload Lab`.
 */
export function toCurrentSchema(input: Fields, source: string, current: number): Fields {
  const { schema } = input;
  if (schema === current) return input;
  if (Number.isSafeInteger(schema) && (schema as number) > current)
    throw new NewerRecordError(
      `${source}: schema ${schema} is newer than this version reads (${current}); update SpecOffload Lab`,
    );
  throw new UserError(
    `${source}: invalid schema: ${quote(schema)}; expected ${current}, as every run.json has`,
  );
}
