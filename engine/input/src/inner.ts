/** What a schema is to valibot. Apart, so that no declaration of the others names its types. */

import type { GenericSchema } from 'valibot';
import type { Schema } from './schema.js';

export type Inner = GenericSchema<unknown, unknown>;

export const inner = (schema: Schema): Inner => schema as unknown as Inner;

export const outer = <Output>(schema: object): Schema<Output> => schema as Schema<Output>;
