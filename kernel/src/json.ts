/** JSON that came from outside: an object whose shape nobody has looked at yet. */

export type JsonObject = Record<string, unknown>;
